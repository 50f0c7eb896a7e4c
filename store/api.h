/*
 * api.h: what stands around the declarations of a public header. C++ can call what is between the
 * two lines, and the shared library shows it; all else in the library is compiled with
 * -fvisibility=hidden and stays inside. Every public header includes this one.
 */
#ifndef STORE_API_H
#define STORE_API_H

#ifdef __GNUC__
#define STORE_API_SHOW _Pragma("GCC visibility push(default)")
#define STORE_API_HIDE _Pragma("GCC visibility pop")
#else
#define STORE_API_SHOW
#define STORE_API_HIDE
#endif

#ifdef __cplusplus
#define STORE_API_BEGIN                                                                            \
	STORE_API_SHOW extern "C"                                                                  \
	{
#define STORE_API_END                                                                              \
	}                                                                                          \
	STORE_API_HIDE
#else
#define STORE_API_BEGIN STORE_API_SHOW
#define STORE_API_END	STORE_API_HIDE
#endif

#endif
