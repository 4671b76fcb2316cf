package io.graft;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the pages say is still so: the README's program compiles, and no page links to a file that is not there. */
class ReadmeTest {
    private static final Path ROOT = Path.of("..", "..");

    @Test
    void exampleCompiles(@TempDir Path classes) throws Exception {
        Matcher block = Pattern.compile("```java\\n(.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(ROOT.resolve("README.md")));
        assertThat(block.find()).isTrue();
        String source = block.group(1);
        JavaFileObject file =
                new SimpleJavaFileObject(URI.create("string:///Finetune.java"), JavaFileObject.Kind.SOURCE) {
                    @Override
                    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                        return source;
                    }
                };
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter messages = new StringWriter();
        List<String> options =
                List.of("-proc:none", "-d", classes.toString(), "-classpath", System.getProperty("java.class.path"));
        boolean compiled = compiler.getTask(messages, null, null, options, null, List.of(file))
                .call();
        assertThat(compiled).as(messages.toString()).isTrue();
    }

    @Test
    void linksLeadSomewhere() throws Exception {
        Pattern link = Pattern.compile("]\\((?!https?:)([^)#\\s]+)(#[^)]*)?\\)");
        try (Stream<Path> docs = Files.walk(ROOT.resolve("docs"));
                Stream<Path> top = Stream.of("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
                        .map(ROOT::resolve)) {
            List<Path> pages = Stream.concat(docs, top)
                    .filter(page -> page.toString().endsWith(".md"))
                    .toList();
            for (Path page : pages) {
                Matcher target = link.matcher(Files.readString(page));
                while (target.find()) {
                    assertThat(page.resolveSibling(target.group(1)))
                            .as("%s links to it", page)
                            .exists();
                }
            }
        }
    }
}
