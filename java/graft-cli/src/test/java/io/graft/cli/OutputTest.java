package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.util.List;
import org.junit.jupiter.api.Test;

class OutputTest {
    private final StringWriter written = new StringWriter();
    private final StringWriter remarks = new StringWriter();

    private Output output(boolean json) {
        return new Output(new PrintWriter(written), new PrintWriter(remarks), json);
    }

    @Test
    void jsonHoldsEventsOnly() throws Exception {
        Output out = output(true);
        out.say("for people");
        out.note("for people");
        out.event("step", "loss", Double.NaN, "lr", 0.5, "name", "a \"b\"\n");
        JsonNode line = new ObjectMapper().readTree(written.toString());
        assertThat(line.get("event").asText()).isEqualTo("step");
        assertThat(line.get("loss").isNull()).isTrue();
        assertThat(line.get("lr").asDouble()).isEqualTo(0.5);
        assertThat(line.get("name").asText()).isEqualTo("a \"b\"\n");
        assertThat(written.toString().lines()).hasSize(1);
        assertThat(remarks.toString()).isEmpty();
    }

    @Test
    void aReaderThatHasGoneIsSeen() {
        Writer full = new Writer() {
            @Override
            public void write(char[] text, int from, int length) throws IOException {
                throw new IOException("Broken pipe");
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
        assertThat(output(false).closed()).isFalse();
        Output out = new Output(new PrintWriter(full), new PrintWriter(remarks), false);
        out.stream("a");
        assertThat(out.closed()).isTrue();
    }

    @Test
    void peopleGetSentencesOnly() {
        Output out = output(false);
        out.say("100 % of %s");
        out.note("careful");
        out.event("step", "loss", 1.0);
        assertThat(written.toString().strip()).isEqualTo("100 % of %s");
        assertThat(remarks.toString().strip()).isEqualTo("careful");
    }

    @Test
    void tableAlignsItsColumns() {
        TextTable table = new TextTable(List.of("method", "ms"));
        table.add(List.of("lora", "12.5"));
        assertThat(table.toString()).isEqualTo("method    ms\n------  ----\nlora    12.5\n");
    }

    @Test
    void units() {
        assertThat(Units.bytes(3 * 1024 * 1024 / 2)).isEqualTo("1.5 MiB");
        assertThat(Units.bytes(20L << 30)).isEqualTo("20.0 GiB");
        assertThat(Units.duration(3725)).isEqualTo("1:02:05");
        assertThat(Units.duration(Double.NaN)).isEqualTo("?");
        assertThat(Units.count(1234567)).isEqualTo("1,234,567");
    }
}
