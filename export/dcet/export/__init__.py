"""From a checkpoint to a verified bundle. Needs `pip install 'dcet[export]'`."""
