"""Print uchardet's guesses as a JSON list: python uchardet_guesses.py FILE, a JSON list of pages in hexadecimal."""

import json
import sys
from pathlib import Path

import cchardet

pages = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps([cchardet.detect(bytes.fromhex(page))["encoding"] for page in pages]))
