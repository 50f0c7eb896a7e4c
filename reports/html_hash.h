/*
 * SHA-256 (FIPS 180-4), because a Content-Security-Policy names a script by nothing else. Not for
 * secrets.
 */
#ifndef REPORTS_HTML_HASH_H
#define REPORTS_HTML_HASH_H

#include "faultinject/base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum { HTML_HASH_SIZE = 32 };

void html_hash(const void *data, size_t size, uint8_t ret_hash[HTML_HASH_SIZE]);

/* Appends 'sha256-...' with its quotes, as a policy has it (CSP level 3, section 2.3.1). */
void html_hash_source(struct buf *out, const void *data, size_t size);

#endif
