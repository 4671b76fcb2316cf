package io.graft.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** The version of the build, from a resource that Maven fills in. */
public final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() throws IOException {
        return new String[] {"graft " + read()};
    }

    public static String read() throws IOException {
        Properties properties = new Properties();
        try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
            if (in != null) {
                properties.load(in);
            }
        }
        String version = properties.getProperty("version", "");
        // why: run from an unfiltered class path (an IDE) the placeholder is still there
        return version.isEmpty() || version.startsWith("$") ? "(unpackaged)" : version;
    }
}
