package io.graft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The folder or file that a command is to write, looked at before any work: nothing is replaced that was not asked for,
 * and what cannot be written is found at once.
 *
 * <p>A folder may be new, empty, or hold a model, an adapter or a run, which {@code --overwrite} replaces with all that is
 * in it. One with anything else is never touched.
 */
final class OutputTarget {
    private static final List<String> PARTS = List.of(
            ".safetensors",
            ".json",
            ".bin",
            ".model",
            ".jinja",
            "merges.txt",
            "vocab.txt",
            "readme.md",
            ".gitattributes");

    private final String option;
    private final Path path;

    /** @param option that names the target, as {@code --out} */
    OutputTarget(String option, Path path) {
        this.option = option;
        this.path = path;
    }

    /**
     * Complains unless a result may go into this folder.
     *
     * @param overwrite whether an older result may be replaced
     * @param resumes whether the command continues a run that the folder holds
     * @param sources what is read: none may lie in the folder; null ones are passed over
     */
    OutputTarget checkFolder(boolean overwrite, boolean resumes, Path... sources) throws IOException {
        if (!Files.exists(path)) {
            return this;
        }
        GraftCommand.existingFolder(option, path);
        for (Path source : sources) {
            if (source != null && source.toRealPath().startsWith(path.toRealPath())) {
                throw new InputException(option + " must not be, or hold, what is read, " + source);
            }
        }
        List<Path> files = files(path);
        if (files.equals(List.of(path.resolve(RunSettings.FILE)))) {
            // why: a run that ended before its first checkpoint has nothing to lose.
            return this;
        }
        String result = result();
        for (Path file : files) {
            if (result == null || !isPart(file)) {
                throw new InputException(path + " holds " + file.getFileName()
                        + ", which is no part of a model or adapter, so it is not replaced; name a new folder for "
                        + option);
            }
        }
        if (result != null && !overwrite) {
            String way = resumes && RunSettings.in(path) ? "--resume continues it, " : "";
            throw new InputException(path + " already holds " + result + "; " + way + "--overwrite replaces it");
        }
        return this;
    }

    /** Makes the folder and those above it. */
    OutputTarget make() throws IOException {
        if (Files.exists(path)) {
            GraftCommand.existingFolder(option, path);
        }
        Files.createDirectories(path);
        return checkWritable(path);
    }

    /** Makes the folders above it, for a folder that takes its name when it is whole. */
    void makeParent() throws IOException {
        Path parent = path.toAbsolutePath().normalize().getParent();
        if (parent == null
                || path.toAbsolutePath().normalize().equals(Path.of("").toAbsolutePath())) {
            throw new InputException(option + " must not be the current folder: the new one replaces it as a whole");
        }
        Files.createDirectories(parent);
        checkWritable(parent);
    }

    /** Deletes the older result in the folder, after {@link #checkFolder}. */
    void clear() throws IOException {
        clear(path);
    }

    private static void clear(Path folder) throws IOException {
        try (Stream<Path> inside = Files.list(folder)) {
            for (Path file : (Iterable<Path>) inside::iterator) {
                if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
                    clear(file);
                }
                Files.delete(file);
            }
        }
    }

    /** Complains unless a file can be written here that is none of those that are read. */
    OutputTarget checkFile(Path... sources) throws IOException {
        Path parent = path.toAbsolutePath().getParent();
        GraftCommand.existingFolder("the folder of " + option, parent);
        if (Files.isDirectory(path)) {
            throw new InputException(option + " is a directory: " + path);
        }
        for (Path source : sources) {
            if (Files.exists(path) && Files.isSameFile(path, source)) {
                throw new InputException(option + " must not be the file that is read, " + source);
            }
        }
        return checkWritable(Files.exists(path) ? path : parent);
    }

    private OutputTarget checkWritable(Path place) {
        if (!Files.isWritable(place)) {
            throw new InputException(option + ": no permission to write " + place);
        }
        return this;
    }

    /** What is in the folder, but for files whose writer died. */
    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> inside = Files.list(folder)) {
            return inside.filter(file -> !file.getFileName().toString().matches("\\..*\\.new-\\d+-.*"))
                    .sorted()
                    .toList();
        }
    }

    /** What the files are, for people; null for nothing that is known. */
    private String result() {
        if (RunSettings.in(path)) {
            return "a run";
        }
        if (Files.exists(path.resolve("adapter_config.json"))) {
            return "an adapter";
        }
        return Files.exists(path.resolve("config.json")) ? "a model" : null;
    }

    /** The folder of an adapter may hold those that it is made of. */
    private static boolean isPart(Path file) throws IOException {
        if (Files.exists(file.resolve("adapter_config.json"))) {
            for (Path inner : files(file)) {
                if (Files.isDirectory(inner) || !isPart(inner)) {
                    return false;
                }
            }
            return true;
        }
        String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
        return Files.isRegularFile(file) && PARTS.stream().anyMatch(name::endsWith);
    }
}
