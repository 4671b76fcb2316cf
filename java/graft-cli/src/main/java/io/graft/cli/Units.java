package io.graft.cli;

import java.util.Locale;

/** Numbers as people read them. */
public final class Units {
    private Units() {}

    /** 1,234,567 */
    public static String count(long value) {
        return String.format(Locale.ROOT, "%,d", value);
    }

    /** Bytes in MiB or GiB. */
    public static String bytes(long value) {
        double mebibytes = value / (1024.0 * 1024.0);
        if (mebibytes >= 10240) {
            return String.format(Locale.ROOT, "%.1f GiB", mebibytes / 1024);
        }
        return String.format(Locale.ROOT, mebibytes < 10 ? "%.1f MiB" : "%.0f MiB", mebibytes);
    }

    /** 1:02:03 or 2:03 */
    public static String duration(double seconds) {
        if (!Double.isFinite(seconds) || seconds < 0) {
            return "?";
        }
        long whole = Math.round(seconds);
        return whole >= 3600
                ? String.format(Locale.ROOT, "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
                : String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60);
    }
}
