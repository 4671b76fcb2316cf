package io.graft.tensor;

/**
 * Settings of JavaCPP that must stand before its first class is loaded. JavaCPP counts mapped files against a limit on
 * memory and runs the garbage collector when it is reached; Graft frees its memory itself, so both are switched off.
 * What the user set on the command line stays.
 */
final class Settings {
    private Settings() {}

    static void apply() {
        setDefault("org.bytedeco.javacpp.maxphysicalbytes", "0");
        setDefault("org.bytedeco.javacpp.maxbytes", "0");
    }

    private static void setDefault(String key, String value) {
        if (System.getProperty(key) == null) {
            System.setProperty(key, value);
        }
    }
}
