#!/usr/bin/env python3
"""`libcurl.py LIBRARY cert.pem URL`: what this libcurl says, such as libcurl-gnutls.so.4; the command curl holds only one."""

import ctypes
import sys

library, ca, url = sys.argv[1:]
curl = ctypes.CDLL(library)
curl.curl_easy_init.restype = ctypes.c_void_p
curl.curl_version.restype = ctypes.c_char_p
CURLOPT_URL, CURLOPT_ERRORBUFFER, CURLOPT_CAINFO = 10002, 10010, 10065

handle = ctypes.c_void_p(curl.curl_easy_init())
message = ctypes.create_string_buffer(256)
for option, value in (CURLOPT_URL, url.encode()), (CURLOPT_CAINFO, ca.encode()), (CURLOPT_ERRORBUFFER, message):
    curl.curl_easy_setopt(handle, ctypes.c_int(option), value)
sys.stdout.flush()
code = curl.curl_easy_perform(handle)
ctypes.CDLL(None).fflush(None)
print(f"\n{curl.curl_version().decode().split(' zlib')[0]}: ({code}) {message.value.decode()}")
