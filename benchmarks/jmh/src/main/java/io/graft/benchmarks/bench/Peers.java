package io.graft.benchmarks.bench;

import io.graft.cli.Caches;
import io.graft.cli.Maven;
import io.graft.cli.Output;
import io.graft.tensor.Device;
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

    /** @param device that LibTorch is to compute on: its builds for the CPU and for GPUs are two */
    static void fetch(Output out, Device device) throws IOException {
        Path folder = Caches.folder(device.isCpu() ? "bench-peers" : "bench-peers-gpu");
        Files.createDirectories(folder);
        Path pom = folder.resolve("pom.xml");
        try (InputStream in = Peers.class.getResourceAsStream("peers-pom.xml")) {
            Files.copy(in, pom, StandardCopyOption.REPLACE_EXISTING);
        }
        Path list = folder.resolve("classpath.txt");
        out.note("LibTorch: asking Maven for it (%s, once)", device.isCpu() ? "110 MB" : "460 MB");
        Maven.run(
                out::note,
                "LibTorch",
                pom,
                folder.resolve("maven.log"),
                "dependency:build-classpath",
                "-Dmdep.outputFile=" + list,
                "-Dgraft.libtorch.extension=" + (device.isCpu() ? "" : "-gpu"));
        // why: JMH gives its own class path to the processes that it starts, and reads it from this property.
        System.setProperty(
                CLASS_PATH,
                System.getProperty(CLASS_PATH)
                        + File.pathSeparator
                        + Files.readString(list).strip());
    }
}
