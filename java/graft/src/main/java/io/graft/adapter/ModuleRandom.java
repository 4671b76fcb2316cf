package io.graft.adapter;

import java.nio.charset.StandardCharsets;
import java.util.SplittableRandom;
import java.util.zip.CRC32;

/** Random numbers that each module has of its own, whatever other modules draw. */
final class ModuleRandom {
    private ModuleRandom() {}

    /** The same numbers for the same seed and module. */
    static SplittableRandom of(long seed, String module) {
        CRC32 crc = new CRC32();
        crc.update(module.getBytes(StandardCharsets.UTF_8));
        return new SplittableRandom(seed + crc.getValue());
    }
}
