/* What a test compiles: several files, the usual headers, a library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

int main(int argc, char **argv) {
    const char *text = argc > 1 ? argv[1] : "one two three";
    char *copy = malloc(strlen(text) + 1);
    if (!copy)
        return 1;
    strcpy(copy, text);
    printf("%zu words, root of that: %.3f\n", words(copy), root_of(words(copy)));
    free(copy);
    return 0;
}
