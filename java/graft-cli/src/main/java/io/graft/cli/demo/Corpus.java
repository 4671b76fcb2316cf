package io.graft.cli.demo;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * Java sources read out of the jars, parted into training and validation files: main sources for the base model, unit
 * tests for fine-tuning.
 *
 * <p>Every tenth file of a fixed shuffle is for validation. The licence comment that opens each file is left out:
 * being the same everywhere it would flatter the loss.
 */
record Corpus(Part main, Part tests) {
    /** Texts of whole files. */
    record Part(List<String> training, List<String> validation) {}

    private static final int VALIDATION_SHARE = 10;
    private static final long SEED = 1;

    static Corpus read(List<Path> jars) throws IOException {
        List<String> main = new ArrayList<>();
        List<String> tests = new ArrayList<>();
        for (Path jar : jars) {
            read(jar, jar.getFileName().toString().contains("test-sources") ? tests : main);
        }
        return new Corpus(part(main), part(tests));
    }

    private static void read(Path jar, List<String> into) throws IOException {
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            List<? extends ZipEntry> entries = zip.stream()
                    .filter(entry -> entry.getName().endsWith(".java"))
                    .sorted(Comparator.comparing(ZipEntry::getName))
                    .toList();
            for (ZipEntry entry : entries) {
                try (InputStream in = zip.getInputStream(entry)) {
                    into.add(withoutLicence(new String(in.readAllBytes(), StandardCharsets.UTF_8)));
                }
            }
        }
    }

    static String withoutLicence(String source) {
        String text = source.replace("\r\n", "\n").strip();
        if (text.startsWith("/*")) {
            int end = text.indexOf("*/");
            String comment = end < 0 ? "" : text.substring(0, end);
            if (comment.contains("License")) {
                text = text.substring(end + 2).strip();
            }
        }
        return text + "\n";
    }

    private static Part part(List<String> files) {
        List<String> shuffled = new ArrayList<>(files);
        Collections.shuffle(shuffled, new Random(SEED));
        int validation = Math.max(1, shuffled.size() / VALIDATION_SHARE);
        return new Part(
                List.copyOf(shuffled.subList(validation, shuffled.size())),
                List.copyOf(shuffled.subList(0, validation)));
    }
}
