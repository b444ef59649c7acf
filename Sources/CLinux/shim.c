#include "CLinux.h"
int hw_linux_placeholder(void) { return 0; }
