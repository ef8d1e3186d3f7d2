#ifndef WORDS_H
#define WORDS_H
#include <stddef.h>

size_t words(const char *text);
double root_of(size_t number);
#endif
