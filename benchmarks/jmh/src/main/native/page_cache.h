// The system's cache of a file's pages: dropped without root, and looked at, since the system may keep what it likes.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

/** Writes a file's changes to disk and asks the system to forget its pages; the bytes of those that it still has, or -1
 * where the file cannot be opened or looked at. */
inline int64_t graft_page_cache_drop(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  struct stat about;
  int64_t kept = -1;
  if (fdatasync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0 && fstat(file, &about) == 0) {
    const auto size = static_cast<std::size_t>(about.st_size), page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* const mapped = size == 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    std::vector<unsigned char> present((size + page - 1) / page);
    if (size == 0) kept = 0;
    if (mapped != MAP_FAILED) {
      if (mincore(mapped, size, present.data()) == 0)
        kept = static_cast<int64_t>(page) *
               std::count_if(present.begin(), present.end(), [](unsigned char state) { return (state & 1) != 0; });
      munmap(mapped, size);
    }
  }
  close(file);
  return kept;
}
