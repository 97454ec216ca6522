"""What distributions have inside that is not theirs; the one table to add to when the build finds something new.

Wheels say little about it, so each entry says where its licence was read.
"""

from dataclasses import dataclass

_LLAMA = "llama-cpp-python"
_NUMPY = "numpy-*.dist-info/licenses/LICENSE.txt"
_LXML = "lxml-*.dist-info/licenses/LICENSES.txt"
_GGML = "vendor/llama.cpp/LICENSE"
_FSF = "Copyright (C) Free Software Foundation, Inc."
_GCC = "GPL-3.0-or-later WITH GCC-exception-3.1"
_MTMD = "llama_cpp/lib/libmtmd*"
_OPENBLAS = rb"OpenBLAS (\d[\d.]*\d)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of `owner`, in the files that `files` matches; `compiled_in` says that the owner's code is there too.

    `holders` are the copyright notices, or, where `read` is a file of the environment, words to find them by.
    `version` is a pattern that finds the version in one of the files; `numbered` says that a file's name ends in it.
    """

    owner: str
    name: str
    files: str
    licence: str
    read: str
    holders: tuple[str, ...]
    version: bytes | None = None
    numbered: bool = False
    compiled_in: bool = False


PARTS = (
    # numpy-2.4.6: its licence file describes each of its libraries.
    Part(owner="numpy", name="openblas", files="numpy.libs/libscipy_openblas*", version=_OPENBLAS, read=_NUMPY,
         licence="BSD-3-Clause AND BSD-3-Clause-Open-MPI",
         holders=("The OpenBLAS Project", "University of Tennessee", "Berkeley", "Colorado Denver")),
    Part(owner="numpy", numbered=True, name="libgfortran", files="numpy.libs/libgfortran*", licence=_GCC, read=_NUMPY,
         holders=("2002-2017 Free Software Foundation",)),
    Part(owner="numpy", numbered=True, name="libquadmath", files="numpy.libs/libquadmath*", licence="LGPL-2.1-or-later",
         read=_NUMPY, holders=("2010-2019 Free Software Foundation",)),
    # faiss-cpu-1.15.1: its notices name OpenBLAS only. GCC's libraries are those that numpy describes, and for
    # libgomp Debian does, in /usr/share/doc/gcc-12-base/copyright.
    Part(owner="faiss-cpu", name="openblas", files="faiss_cpu.libs/libopenblas*", version=_OPENBLAS,
         licence="BSD-3-Clause AND BSD-3-Clause-Open-MPI", read=_NUMPY,
         holders=("The OpenBLAS Project", "University of Tennessee", "Berkeley", "Colorado Denver")),
    Part(owner="faiss-cpu", name="libgfortran", files="faiss_cpu.libs/libgfortran*", licence=_GCC,
         read=_NUMPY, holders=("2002-2017 Free Software Foundation",)),
    Part(owner="faiss-cpu", name="libgomp", files="faiss_cpu.libs/libgomp*", licence=_GCC,
         read="gcc-12-base's copyright file", holders=(_FSF,)),
    Part(owner="faiss-cpu", name="libquadmath", files="faiss_cpu.libs/libquadmath*", licence="LGPL-2.1-or-later",
         read=_NUMPY, holders=("2010-2019 Free Software Foundation",)),
    # llama-cpp-python-0.3.36: the wheel has its own licence only, its source has those of vendor/llama.cpp.
    Part(owner=_LLAMA, name="ggml", files="llama_cpp/lib/libggml*", version=rb"\0(\d+\.\d+\.\d+)\0", licence="MIT",
         read="vendor/llama.cpp/LICENSE, ggml/src/ggml-cpu/llamafile/sgemm.cpp",
         holders=("Copyright (c) 2023-2026 The ggml authors", "Copyright 2024 Mozilla Foundation")),
    Part(owner=_LLAMA, numbered=True, name="llama.cpp", files="llama_cpp/lib/libllama*", licence="MIT", read=_GGML,
         holders=("Copyright (c) 2023-2026 The ggml authors",)),
    Part(owner=_LLAMA, numbered=True, name="mtmd", files=_MTMD, licence="MIT", read=_GGML,
         holders=("Copyright (c) 2023-2026 The ggml authors",)),
    Part(owner=_LLAMA, name="miniaudio", files=_MTMD, licence="MIT-0", read="vendor/miniaudio/miniaudio.h",
         holders=("Copyright 2026 David Reid",)),
    Part(owner=_LLAMA, name="stb_image", files=_MTMD, licence="MIT", read="vendor/stb/stb_image.h",
         holders=("Copyright (c) 2017 Sean Barrett",)),
    Part(owner=_LLAMA, name="xxhash", files=_MTMD, licence="BSD-2-Clause", read="vendor/hash/xxhash/LICENSE",
         holders=("Copyright (c) 2012-2021 Yann Collet",)),
    Part(owner=_LLAMA, name="rotate-bits", files=_MTMD, licence="MIT", read="vendor/hash/rotate-bits/LICENSE.md",
         holders=("Copyright (c) 2021 William Casarin <jb55@jb55.com>",)),
    Part(owner=_LLAMA, name="subprocess.h", files=_MTMD, licence="Unlicense", read="vendor/sheredom/subprocess.h",
         holders=("in the public domain",)),
    Part(owner=_LLAMA, name="nlohmann-json", files="lib/libllama-common*", licence="MIT",
         read="vendor/nlohmann/json.hpp", holders=("Copyright (c) 2013-2025 Niels Lohmann",)),
    Part(owner=_LLAMA, name="cpp-httplib", files="lib/libllama-common*", licence="MIT",
         read="vendor/cpp-httplib/LICENSE", holders=("Copyright (c) 2017 yhirose",)),
    # lxml-6.1.3: LICENSES.txt, «Binary wheels».
    Part(owner="lxml", name="libxml2", files="lxml/*.so", licence="MIT", read=_LXML, compiled_in=True,
         holders=("1998-2012 Daniel Veillard", "Libxml2 Contributors")),
    Part(owner="lxml", name="libxslt", files="lxml/*.so", licence="MIT", read=_LXML, compiled_in=True,
         holders=("2001-2002 Daniel Veillard",)),
    Part(owner="lxml", name="libexslt", files="lxml/*.so", licence="MIT", read=_LXML, compiled_in=True,
         holders=("Thomas Broyer",)),
    Part(owner="lxml", name="libiconv", files="lxml/*.so", licence="LGPL-2.1-only", compiled_in=True,
         read="lxml's LICENSES.txt", holders=(_FSF,)),
    Part(owner="lxml", name="zlib", files="lxml/*.so", licence="Zlib", compiled_in=True, read="its words in etree.so",
         version=rb"deflate (\d[\d.]*\d) Copyright", holders=("Copyright 1995-2026 Jean-loup Gailly and Mark Adler",)),
    # Licences that are in the distribution itself, under vendor/.
    Part(owner="aiohttp", name="llhttp", files="aiohttp/_http_parser*.so", licence="MIT", compiled_in=True,
         read="aiohttp-*.dist-info/licenses/vendor/llhttp/LICENSE", holders=("Fedor Indutny",)),
    Part(owner="httptools", name="llhttp", files="httptools/parser/*.so", licence="MIT", compiled_in=True,
         read="httptools-*.dist-info/licenses/vendor/llhttp/LICENSE", holders=("Fedor Indutny",)),
    Part(owner="httptools", name="http-parser", files="httptools/parser/*.so", licence="MIT", compiled_in=True,
         read="httptools-*.dist-info/licenses/vendor/http-parser/LICENSE-MIT", holders=("Joyent",)),
    # pyyaml-6.0.3: the wheel's metadata and licence speak for both.
    Part(owner="pyyaml", name="libyaml", files="yaml/_yaml*.so", licence="MIT", compiled_in=True,
         version=rb"\0(\d+\.\d+\.\d+)\0", read="pyyaml-*.dist-info/licenses/LICENSE",
         holders=("Ingy", "Kirill Simonov")),
    # cryptography-50.0.2: its sboms/sbom.json has the name; the licence is in OpenSSL's LICENSE.txt.
    Part(owner="cryptography", name="openssl", files="cryptography/hazmat/bindings/_rust*.so", licence="Apache-2.0",
         compiled_in=True, version=rb"OpenSSL (\d+\.\d+\.\d+) \d", read="OpenSSL's LICENSE.txt and its sources",
         holders=("Copyright (c) 1998-2026 The OpenSSL Project Authors",)),
)  # fmt: skip

# pip/_vendor/vendor.txt has names and versions; the licences are those of pip/_vendor/*/LICENSE* in pip-26.3.
IN_PIP = {
    "cachecontrol": "Apache-2.0",
    "certifi": "MPL-2.0",
    "distlib": "PSF-2.0",
    "distro": "Apache-2.0",
    "idna": "BSD-3-Clause",
    "msgpack": "Apache-2.0",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "platformdirs": "MIT",
    "pygments": "BSD-2-Clause",
    "pyproject-hooks": "MIT",
    "requests": "Apache-2.0",
    "resolvelib": "ISC",
    "rich": "MIT",
    "setuptools": "MIT",
    "tomli": "MIT",
    "tomli-w": "MIT",
    "truststore": "MIT",
    "urllib3": "MIT",
}
# Where pip keeps a name's code if not under that name.
PIP_FOLDERS = {"setuptools": "pkg_resources"}

# Models say little of their makers: minilm's wheel nothing, smollm2-135m's GGUF file its general.organization.
MODEL_HOLDERS = {
    "minilm": "the authors of sentence-transformers/all-MiniLM-L6-v2",
    "smollm2-135m": "HuggingFaceTB",
}
