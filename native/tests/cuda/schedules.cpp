#include "schedules.h"

#include <cstdlib>

#include "emulator/emulator.h"

namespace graft::test {

void for_schedules(int seeds, const std::function<void()>& body) {
  const auto number = [](const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atoi(text);
  };
  const int only = number("GRAFT_EMULATOR_SEED", -1), most = number("GRAFT_EMULATOR_SEEDS", seeds);
  const int first = only < 0 ? 0 : only, end = only < 0 ? std::min(seeds, most) : only + 1;
  using emulator::Completion;
  for (int seed = first; seed < end; ++seed) {
    for (const Completion completion : {Completion::kEager, Completion::kLazy, Completion::kRandom}) {
      emulator::set_schedule({static_cast<std::uint32_t>(seed), completion, 1 + seed % 2});
      SCOPED_TRACE("GRAFT_EMULATOR_SEED=" + std::to_string(seed) + ", completion " +
                   std::to_string(static_cast<int>(completion)));
      body();
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace graft::test
