package io.graft.benchmarks.measure;

import io.graft.tensor.Device;
import java.lang.reflect.InvocationTargetException;

/**
 * Whether LibTorch is there, a peer that the build does not bring. By reflection: this class must load without it.
 */
public final class LibTorch {
    private static final String MISSING = "LibTorch is not on the class path (graft bench --peers fetches it)";

    private static final String TORCH = "org.bytedeco.pytorch.global.torch";

    private static final String ABSENCE = probe();

    private LibTorch() {}

    /** Why there is no LibTorch that computes on a device; null where there is. */
    public static String absence(Device device) {
        if (ABSENCE != null || device.isCpu()) {
            return ABSENCE;
        }
        int gpus = (boolean) ask("cuda_is_available") ? ((Number) ask("cuda_device_count")).intValue() : 0;
        return device.ordinal() < gpus
                ? null
                : "LibTorch is on the class path and has " + gpus + " CUDA devices (graft bench --device cuda --peers"
                        + " fetches its build for CUDA 13, which needs CUDA's libraries and cuDNN)";
    }

    /** A function of LibTorch without arguments. */
    private static Object ask(String function) {
        try {
            return Class.forName(TORCH).getMethod(function).invoke(null);
        } catch (ReflectiveOperationException unlike) {
            throw new IllegalStateException("LibTorch does not answer " + function, unlike);
        }
    }

    private static String probe() {
        try {
            Class.forName(TORCH);
            return null;
        } catch (ClassNotFoundException missing) {
            return MISSING;
        } catch (LinkageError broken) {
            // why: its Java classes alone, without the native half, end here.
            return broken.getCause() instanceof ClassNotFoundException || broken.getMessage() == null
                    ? MISSING
                    : MISSING + ": " + broken.getMessage().lines().findFirst().orElse("");
        }
    }

    /** Threads of LibTorch and of its BLAS from now on; 0: as it is. */
    static void threads(int threads) {
        if (threads == 0) {
            return;
        }
        try {
            Class.forName(TORCH).getMethod("set_num_threads", int.class).invoke(null, threads);
            Class.forName("org.bytedeco.openblas.global.openblas_nolapack")
                    .getMethod("blas_set_num_threads", int.class)
                    .invoke(null, threads);
        } catch (ClassNotFoundException | NoSuchMethodException | IllegalAccessException absent) {
            throw new IllegalStateException("LibTorch's threads cannot be set", absent);
        } catch (InvocationTargetException failure) {
            throw new IllegalStateException("LibTorch's threads cannot be set", failure.getCause());
        }
    }
}
