#include <ctype.h>

#include "words.h"

size_t words(const char *text) {
    size_t count = 0;
    int inside = 0;
    for (; *text; text++) {
        int word = !isspace((unsigned char)*text);
        count += word && !inside;
        inside = word;
    }
    return count;
}
