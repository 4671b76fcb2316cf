package io.graft.tensor;

import static io.graft.binding.Native.graft_cuda_device_count;
import static io.graft.binding.Native.graft_cuda_device_describe;

import io.graft.binding.Status;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Where a context computes and has its memory.
 *
 * @param ordinal the number of a GPU; 0 for the CPU
 */
public record Device(Kind kind, int ordinal) {
    /** What computes. */
    public enum Kind {
        CPU,
        CUDA
    }

    /** What a GPU is called, and how much memory it has. */
    public record Properties(String name, long memoryBytes) {}

    public static final Device CPU = new Device(Kind.CPU, 0);

    private static final int NAME_BYTES = 256;

    static {
        Settings.apply();
    }

    public Device {
        if (ordinal < 0 || (kind == Kind.CPU && ordinal > 0)) {
            throw new IllegalArgumentException("device " + kind + " has no number " + ordinal);
        }
    }

    /** A GPU by its number, whether or not it is there. */
    public static Device cuda(int ordinal) {
        return new Device(Kind.CUDA, ordinal);
    }

    /** The device that {@code cpu}, {@code cuda} (the first one) or {@code cuda:N} names, in any case. */
    public static Device parse(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        if (lower.equals("cpu")) {
            return CPU;
        }
        if (lower.equals("cuda")) {
            return cuda(0);
        }
        if (lower.matches("cuda:[0-9]{1,4}")) {
            return cuda(Integer.parseInt(lower.substring(5)));
        }
        throw new IllegalArgumentException("'" + text + "' is no device; there are cpu, cuda and cuda:N");
    }

    /**
     * The GPUs that this process can use.
     *
     * @throws io.graft.binding.GraftDeviceException with the reason why there are none: no driver, a library without CUDA
     */
    public static List<Device> gpus() {
        int[] count = new int[1];
        Status.check(graft_cuda_device_count(count));
        return IntStream.range(0, count[0]).mapToObj(Device::cuda).toList();
    }

    public boolean isCpu() {
        return kind == Kind.CPU;
    }

    /** Of a GPU that is there. */
    public Properties properties() {
        byte[] name = new byte[NAME_BYTES];
        long[] memory = new long[1];
        Status.check(graft_cuda_device_describe(ordinal, name, name.length, memory));
        int end = 0;
        while (name[end] != 0) {
            end++;
        }
        return new Properties(new String(name, 0, end, StandardCharsets.UTF_8), memory[0]);
    }

    /** What {@link #parse} reads. */
    @Override
    public String toString() {
        return isCpu() ? "cpu" : "cuda:" + ordinal;
    }
}
