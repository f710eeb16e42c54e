#!/bin/bash
# First steps with an installed serxai, from an empty folder: smoke.sh BIN EMPTY_FOLDER
set -euo pipefail
bin=$(cd "$1" && pwd)
cd "$2"
export SERXAI_CACHE="$PWD/cache" HOME="$PWD" OMP_NUM_THREADS=1
unset SERXAI_DATA PYTHONPATH || true
"$bin/python" - <<'PYTHON'
import soundfile
import serxai

planted = serxai.load_corpus("planted")
soundfile.write("FILE.wav", planted.clip(planted.table.index[0]).samples, 16_000)
PYTHON
"$bin/serxai" explain FILE.wav --model cnn --trained-on planted --method emolime --out why
"$bin/serxai" run --limit 4 --workers 1 --out quick
"$bin/serxai" validate quick
"$bin/serxai" new method my-method
