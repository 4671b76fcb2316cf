package io.graft.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import picocli.CommandLine;

/** Runs a command line in this process and keeps what it said. */
record Cli(int status, String out, String err) {
    private static final Path FIXTURES = Path.of("..", "graft", "src", "test", "resources", "fixtures");

    static Cli run(Object... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine line = Graft.commandLine();
        line.setOut(new PrintWriter(out, true));
        line.setErr(new PrintWriter(err, true));
        String[] texts = new String[arguments.length];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = arguments[i].toString();
        }
        return new Cli(line.execute(texts), out.toString(), err.toString());
    }

    static Path model(String name) {
        return FIXTURES.resolve("models").resolve(name);
    }

    /** The models that have such a golden file. */
    static List<String> models(String file) {
        return models().filter(model -> Files.exists(golden(model, file))).toList();
    }

    /** One model of each architecture. */
    static Collection<String> architectures() {
        Map<String, String> first = new TreeMap<>();
        models().forEach(model -> first.putIfAbsent(type(model), model));
        return first.values();
    }

    private static String type(String model) {
        try {
            return new ObjectMapper()
                    .readTree(model(model).resolve("config.json").toFile())
                    .get("model_type")
                    .asText();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Stream<String> models() {
        try (Stream<Path> all = Files.list(FIXTURES.resolve("models"))) {
            return all.map(Path::getFileName).map(Path::toString).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Path adapter(String model, String name) {
        return FIXTURES.resolve("adapters").resolve(model).resolve(name);
    }

    static Path golden(String model, String file) {
        return FIXTURES.resolve("cases").resolve(model).resolve(file);
    }

    /** The output as JSON, one object per line; fails if any line is something else. */
    List<JsonNode> events() {
        ObjectMapper json = new ObjectMapper();
        return out.lines()
                .map(line -> {
                    try {
                        return json.readTree(line);
                    } catch (IOException e) {
                        throw new UncheckedIOException("not JSON: " + line, e);
                    }
                })
                .toList();
    }

    /** The events of one kind. */
    List<JsonNode> events(String kind) {
        return events().stream()
                .filter(event -> event.get("event").asText().equals(kind))
                .toList();
    }
}
