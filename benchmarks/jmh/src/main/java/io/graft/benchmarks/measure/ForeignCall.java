package io.graft.benchmarks.measure;

import io.graft.binding.Native;
import java.lang.invoke.MethodHandle;
import java.lang.reflect.Array;
import java.lang.reflect.InvocationTargetException;
import java.util.Optional;
import org.bytedeco.javacpp.Loader;

/**
 * {@code graft_tensor_fill} by Java's own way to C, java.lang.foreign of JDK 22 and newer. By reflection, since this class is
 * compiled for older ones; the handle that comes out is as good as one that was made without.
 */
public final class ForeignCall {
    private static final int FIRST_JDK = 22;
    private static final String PACKAGE = "java.lang.foreign.";

    private ForeignCall() {}

    /** Why there is no such call; null where there is. */
    public static String absence() {
        int jdk = Runtime.version().feature();
        return jdk >= FIRST_JDK ? null : "java.lang.foreign is final in JDK " + FIRST_JDK + ", this is JDK " + jdk;
    }

    /** The handle {@code int fill(long context, double value, long tensor)}; addresses are longs. */
    public static MethodHandle fill() {
        try {
            Loader.load(Native.class); // why: only what is loaded is looked up
            Class<?> layouts = Class.forName(PACKAGE + "ValueLayout");
            Class<?> layout = Class.forName(PACKAGE + "MemoryLayout");
            Class<?> descriptors = Class.forName(PACKAGE + "FunctionDescriptor");
            Class<?> segment = Class.forName(PACKAGE + "MemorySegment");
            Class<?> options = Class.forName(PACKAGE + "Linker$Option").arrayType();
            Class<?> linkers = Class.forName(PACKAGE + "Linker");
            Class<?> lookups = Class.forName(PACKAGE + "SymbolLookup");
            Object parameters = Array.newInstance(layout, 3);
            Array.set(parameters, 0, layouts.getField("JAVA_LONG").get(null));
            Array.set(parameters, 1, layouts.getField("JAVA_DOUBLE").get(null));
            Array.set(parameters, 2, layouts.getField("JAVA_LONG").get(null));
            Object descriptor = descriptors
                    .getMethod("of", layout, parameters.getClass())
                    .invoke(null, layouts.getField("JAVA_INT").get(null), parameters);
            Object lookup = lookups.getMethod("loaderLookup").invoke(null);
            Object symbol = ((Optional<?>)
                            lookups.getMethod("find", String.class).invoke(lookup, "graft_tensor_fill"))
                    .orElseThrow(
                            () -> new IllegalStateException("no symbol graft_tensor_fill in the loaded libraries"));
            return (MethodHandle) linkers.getMethod("downcallHandle", segment, descriptors, options)
                    .invoke(
                            linkers.getMethod("nativeLinker").invoke(null),
                            symbol,
                            descriptor,
                            Array.newInstance(options.getComponentType(), 0));
        } catch (InvocationTargetException failure) {
            throw new IllegalStateException("java.lang.foreign: " + failure.getCause(), failure.getCause());
        } catch (ReflectiveOperationException other) {
            throw new IllegalStateException("java.lang.foreign is another than that of JDK " + FIRST_JDK, other);
        }
    }
}
