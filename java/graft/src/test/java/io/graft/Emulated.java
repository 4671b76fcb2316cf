package io.graft;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledIf;

/** A test of CUDA devices without a GPU: it runs in a JVM whose native library has the emulator for two of them. */
@Tag("emulated")
@EnabledIf(value = "io.graft.Emulated$Library#expected", disabledReason = "only a part of the native side was built")
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
public @interface Emulated {
    /** The library of that JVM. */
    final class Library {
        private Library() {}

        /** Whether it is there, or ought to be: a build may be told to make other parts of the native side only. */
        static boolean expected() {
            return Files.exists(Path.of(System.getProperty("java.library.path"), "libgraft.so"))
                    || System.getProperty("graft.native.target", "all").equals("all");
        }
    }
}
