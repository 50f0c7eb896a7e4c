/*
 * The version of plugpull, as --version, reports and case files name it.
 */
#ifndef CASE_VERSION_H
#define CASE_VERSION_H

#define PLUGPULL_VERSION "0.1.0"
/* Of the version, for the manual. */
#define PLUGPULL_DATE "November 21, 2026"

#endif
