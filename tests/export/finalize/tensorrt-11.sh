#!/bin/sh
# Builds this bundle's engines with TensorRT 11.x, into the folder named, or
# engines/. dcet-finalize does the same, and checks what was built, as this does not.
set -eu
mkdir -p "${1:-engines}"
engines=$(cd "${1:-engines}" && pwd)
cd "$(dirname "$0")/.."

trtexec --onnx=graphs/text.int8.onnx \
  --saveEngine="$engines"/text.plan \
  --minShapes=input_ids:1x1,attention_mask:1x1 \
  --optShapes=input_ids:1x32,attention_mask:1x32 \
  --maxShapes=input_ids:1x128,attention_mask:1x128 \
  --noTF32 \
  --timingCacheFile="$engines"/timing.cache \
  --skipInference

trtexec --onnx=graphs/audio.int8.onnx \
  --saveEngine="$engines"/audio.plan \
  --minShapes=pcm:1x48000 \
  --optShapes=pcm:1x48000 \
  --maxShapes=pcm:8x48000 \
  --noTF32 \
  --timingCacheFile="$engines"/timing.cache \
  --skipInference

trtexec --onnx=graphs/face.int8.onnx \
  --saveEngine="$engines"/face.plan \
  --minShapes=pixels:1x12x12x3 \
  --optShapes=pixels:6x96x96x3 \
  --maxShapes=pixels:6x192x192x3 \
  --noTF32 \
  --timingCacheFile="$engines"/timing.cache \
  --skipInference

trtexec --onnx=graphs/step.fp16.onnx \
  --saveEngine="$engines"/step.plan \
  --noTF32 \
  --timingCacheFile="$engines"/timing.cache \
  --skipInference
