"""Train and evaluate the network on whole dialogues."""
