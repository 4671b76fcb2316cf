/** Status codes and error text: every Graft function returns a graft_status and never throws, aborts or exits. */
#ifndef GRAFT_STATUS_H
#define GRAFT_STATUS_H

#if defined(GRAFT_BUILD)
#define GRAFT_API __attribute__((visibility("default")))
#else
#define GRAFT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum graft_status {
  GRAFT_OK = 0,
  GRAFT_INVALID_ARGUMENT = 1,   /**< a NULL, a wrong dtype, a value out of range */
  GRAFT_SHAPE_MISMATCH = 2,     /**< two arguments disagree in shape */
  GRAFT_UNSUPPORTED = 3,        /**< legal, but no implementation serves it; the text says why */
  GRAFT_OUT_OF_MEMORY = 4,      /**< the context stays usable */
  GRAFT_DEVICE_UNAVAILABLE = 5, /**< no such device, or the library was built without it */
  GRAFT_DEVICE_ERROR = 6,       /**< the device failed; the context is poisoned */
  GRAFT_INTERNAL = 7            /**< a defect of Graft */
} graft_status;

/** Text of the last failure on the calling thread: names function, argument and values. Never NULL; valid until the
 * thread's next failing call. */
GRAFT_API const char* graft_last_error(void);

/** "GRAFT_OK", "GRAFT_SHAPE_MISMATCH", … Never NULL. */
GRAFT_API const char* graft_status_name(graft_status status);

/** Version of the library, "major.minor.patch". */
GRAFT_API const char* graft_version(void);

#ifdef __cplusplus
}
#endif
#endif
