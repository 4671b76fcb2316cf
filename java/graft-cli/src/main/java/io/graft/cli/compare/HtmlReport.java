package io.graft.cli.compare;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/**
 * Results as one HTML file that stands alone: what ran on which machine, the table, the pictures, and samples of
 * generated text.
 */
final class HtmlReport {
    private static final String STYLE = """
            body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
            table { border-collapse: collapse; margin: 1rem 0 }
            th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
            th:first-child, td:first-child { text-align: left }
            img { max-width: 100% }
            pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
            """;

    private HtmlReport() {}

    static void write(
            Path file,
            String title,
            Map<String, String> facts,
            String heading,
            List<String> header,
            List<List<String>> rows,
            List<Path> pictures,
            Map<String, String> samples)
            throws IOException {
        StringBuilder html = new StringBuilder();
        html.append("<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>")
                .append(escape(title))
                .append("</title>\n<style>\n")
                .append(STYLE)
                .append("</style></head>\n<body>\n<h1>")
                .append(escape(title))
                .append("</h1>\n");
        html.append("<table>\n");
        facts.forEach((name, value) -> html.append("<tr><td>")
                .append(escape(name))
                .append("</td><td>")
                .append(escape(value))
                .append("</td></tr>\n"));
        html.append("</table>\n<h2>").append(escape(heading)).append("</h2>\n<table>\n");
        row(html, "th", header);
        rows.forEach(row -> row(html, "td", row));
        html.append("</table>\n");
        for (Path picture : pictures) {
            if (Files.exists(picture)) {
                html.append("<p><img alt=\"results\" src=\"data:image/png;base64,")
                        .append(Base64.getEncoder().encodeToString(Files.readAllBytes(picture)))
                        .append("\"></p>\n");
            }
        }
        samples.forEach((name, text) -> html.append("<h2>")
                .append(escape(name))
                .append("</h2>\n<pre>")
                .append(escape(text))
                .append("</pre>\n"));
        html.append("</body>\n</html>\n");
        Files.writeString(file, html);
    }

    private static void row(StringBuilder html, String cell, List<String> values) {
        html.append("<tr>");
        values.forEach(value -> html.append('<')
                .append(cell)
                .append('>')
                .append(escape(value))
                .append("</")
                .append(cell)
                .append('>'));
        html.append("</tr>\n");
    }

    static String escape(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
