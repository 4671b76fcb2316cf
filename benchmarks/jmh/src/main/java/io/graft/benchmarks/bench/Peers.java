package io.graft.benchmarks.bench;

import io.graft.cli.Caches;
import io.graft.cli.Maven;
import io.graft.cli.Output;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Fetches the peers that the build does not bring, by Maven, and puts them on the class path of the measuring processes. */
final class Peers {
    private static final String CLASS_PATH = "java.class.path";

    private Peers() {}

    static void fetch(Output out) throws IOException {
        Path folder = Caches.folder("bench-peers");
        Files.createDirectories(folder);
        Path pom = folder.resolve("pom.xml");
        try (InputStream in = Peers.class.getResourceAsStream("peers-pom.xml")) {
            Files.copy(in, pom, StandardCopyOption.REPLACE_EXISTING);
        }
        Path list = folder.resolve("classpath.txt");
        out.note("LibTorch: asking Maven for it (110 MB, once)");
        Maven.run(
                "LibTorch",
                pom,
                folder.resolve("maven.log"),
                "dependency:build-classpath",
                "-Dmdep.outputFile=" + list);
        // why: JMH gives its own class path to the processes that it starts, and reads it from this property.
        System.setProperty(
                CLASS_PATH,
                System.getProperty(CLASS_PATH)
                        + File.pathSeparator
                        + Files.readString(list).strip());
    }
}
