package io.graft.benchmarks.measure;

import java.lang.reflect.InvocationTargetException;

/**
 * Whether LibTorch is there, a peer that the build does not bring. By reflection: this class must load without it.
 */
public final class LibTorch {
    private static final String MISSING = "LibTorch is not on the class path (graft bench --peers fetches it)";

    private static final String ABSENCE = probe();

    private LibTorch() {}

    /** Why there is no LibTorch; null where there is. */
    public static String absence() {
        return ABSENCE;
    }

    private static String probe() {
        try {
            Class.forName("org.bytedeco.pytorch.global.torch");
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
            Class.forName("org.bytedeco.pytorch.global.torch")
                    .getMethod("set_num_threads", int.class)
                    .invoke(null, threads);
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
