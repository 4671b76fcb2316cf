/* The C ABI is usable from C11: the headers compile, twice, and a context can be made and destroyed. */
#include <stdio.h>

#include "graft/graft.h"

int main(void) {
  graft_context* context = NULL;
  if (graft_context_create(GRAFT_DEVICE_CPU, 1, &context) != GRAFT_OK) return 1;
  printf("graft %s, %lld live\n", graft_version(), (long long)graft_live_handles());
  if (graft_context_destroy(context) != GRAFT_OK) return 1;
  return graft_live_handles() == 0 ? 0 : 1;
}
