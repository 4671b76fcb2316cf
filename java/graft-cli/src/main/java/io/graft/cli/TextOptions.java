package io.graft.cli;

import io.graft.io.ChatTemplate;
import io.graft.io.DocumentReader;
import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.train.Example;
import io.graft.train.Packing;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Which text, and how it is cut into batches. */
final class TextOptions {
    private static final int PADDED = 32;

    /** What a row is. */
    enum Rows {
        STREAM,
        DOCUMENTS
    }

    /** What becomes of a document that a row does not hold. */
    enum TooLong {
        CUT,
        DROP
    }

    @Option(
            names = "--data",
            required = true,
            paramLabel = "FILE|DIR",
            description =
                    "Text files, or .jsonl (.ndjson) or .parquet with \"text\", with \"prompt\" and \"completion\", or (.jsonl) with"
                            + " \"messages\".")
    Path data;

    @Option(names = "--batch", paramLabel = "N", description = "Rows of a batch (default: ${DEFAULT-VALUE}).")
    int batch = 4;

    @Option(names = "--length", paramLabel = "N", description = "Tokens of a row (default: ${DEFAULT-VALUE}).")
    int length = 256;

    @Option(
            names = "--rows",
            paramLabel = "stream|documents",
            description =
                    "stream: documents follow each other, cut into rows of --length, and each sees those before it in"
                            + " its row; documents: each is by itself, at most --length (default: stream).")
    Rows rows;

    @Option(
            names = "--pack",
            description =
                    "Documents share rows of --length and do not see each other; with --rows documents, its default.")
    boolean pack;

    @Option(
            names = "--too-long",
            paramLabel = "cut|drop",
            description = "With --rows documents: what becomes of those with more tokens (default: cut).")
    TooLong tooLong = TooLong.CUT;

    void check(GraftCommand command) {
        command.positive("--batch", batch);
        if (length < 2) {
            throw command.usage("--length must be at least 2, got " + length);
        }
        if (pack && rows == Rows.STREAM) {
            throw command.usage("--pack joins documents, which --rows stream has not");
        }
    }

    Rows rows() {
        return rows != null ? rows : pack ? Rows.DOCUMENTS : Rows.STREAM;
    }

    /** Rows are padded to a multiple of it: few different shapes keep a model's buffers. */
    int multiple() {
        return rows() == Rows.STREAM || pack ? length : Math.min(length, PADDED);
    }

    /** The rows of the text. */
    List<Example> examples(GraftCommand command, Tokenizer tokenizer, Path model) {
        return examples(command, tokenizer, model, data);
    }

    /** The rows of another text. */
    List<Example> examples(GraftCommand command, Tokenizer tokenizer, Path model, Path text) {
        List<Path> skipped = DocumentReader.skipped(text);
        if (!skipped.isEmpty()) {
            command.out()
                    .note(
                            "%s: passed over %s%s; rows are read from .jsonl or .parquet",
                            text, skipped.get(0), skipped.size() == 1 ? "" : " and " + (skipped.size() - 1) + " more");
        }
        ChatTemplate chat = ChatTemplate.find(model);
        if (rows() == Rows.STREAM) {
            return stream(command.out(), new DocumentReader(tokenizer, chat), text);
        }
        TextExamples.Documents found =
                TextExamples.documents(new DocumentReader(tokenizer, chat), text, length, tooLong == TooLong.DROP);
        command.out()
                .note(
                        "%s: %d documents, %d cut to %d tokens, %d left out",
                        text, found.examples().size(), found.cut(), length, found.leftOut());
        command.out()
                .event(
                        "data",
                        "source",
                        text.toString(),
                        "documents",
                        found.examples().size(),
                        "cut",
                        found.cut(),
                        "left_out",
                        found.leftOut());
        if (found.examples().isEmpty()) {
            throw new InputException(
                    text + " has no document with anything to learn in its first " + length + " tokens");
        }
        return pack ? Packing.rows(found.examples(), length) : found.examples();
    }

    private List<Example> stream(Output out, DocumentReader reader, Path text) {
        TextDataset.Builder builder = TextDataset.builder(reader, length).add(text);
        if (builder.tokens() < length) {
            throw new InputException(text + " holds " + builder.tokens() + " tokens, a row of " + length
                    + " needs as many; a smaller --length or --rows documents needs less");
        }
        TextDataset rows = builder.build();
        if (rows.leftOut() > 0) {
            out.note("%s: the last %d tokens fill no row of %d and are left out", text, rows.leftOut(), length);
        }
        out.event("data", "source", text.toString(), "rows", rows.blocks(), "left_out_tokens", rows.leftOut());
        return TextExamples.of(rows);
    }

    /** These rows in their order, at most so many batches. */
    List<Batch> batches(List<Example> examples, int most) {
        return TextExamples.batches(examples, batch, most);
    }
}
