package io.graft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** What this computer is, read from {@code /proc}; on a system without it the answers are "unknown" and 0. */
public final class Machine {
    private static final List<String> TELLING_FLAGS =
            List.of("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "sve", "neon");

    private Machine() {}

    public static String processor() {
        String model = field("/proc/cpuinfo", "model name");
        return model == null ? System.getProperty("os.arch") : model;
    }

    public static int processors() {
        return Runtime.getRuntime().availableProcessors();
    }

    /** The instruction sets that matter to the kernels, as the kernel names them. */
    public static Set<String> instructionSets() {
        String flags = field("/proc/cpuinfo", "flags");
        Set<String> found = new LinkedHashSet<>(TELLING_FLAGS);
        found.retainAll(
                flags == null
                        ? Set.of()
                        : Set.copyOf(Arrays.asList(flags.split("\\s+")).stream()
                                .distinct()
                                .toList()));
        return found;
    }

    public static long totalMemory() {
        return kibibytes("/proc/meminfo", "MemTotal");
    }

    /** What processes can have without others being swapped out. */
    public static long availableMemory() {
        return kibibytes("/proc/meminfo", "MemAvailable");
    }

    /** Resident memory of this process now, in bytes. */
    public static long residentMemory() {
        return kibibytes("/proc/self/status", "VmRSS");
    }

    /** The largest resident memory of this process so far, in bytes. */
    public static long peakResidentMemory() {
        return kibibytes("/proc/self/status", "VmHWM");
    }

    private static long kibibytes(String file, String key) {
        String value = field(file, key);
        return value == null ? 0 : Long.parseLong(value.replaceAll("\\D", "")) * 1024;
    }

    private static String field(String file, String key) {
        try (Stream<String> lines = Files.lines(Path.of(file))) {
            return lines.filter(line -> line.startsWith(key))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse(null);
        } catch (IOException | RuntimeException absent) {
            return null;
        }
    }
}
