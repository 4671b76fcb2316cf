package io.graft.io;

import java.nio.file.Path;

/**
 * Text as one stream of tokens, cut into blocks of equal length.
 *
 * <p>A document is begin-of-text, its tokens, end-of-text, as far as the tokenizer has these; documents follow each
 * other without padding. Block i takes the tokens [i·T, (i+1)·T). A label stands at its own token, as in transformers:
 * the loss shifts them. Labels of prompts are {@link #IGNORED}. The tokens are in a temporary file, and may be more than
 * memory holds. Immutable.
 */
public final class TextDataset {
    /** The label of a position that does not count in the loss. */
    public static final int IGNORED = -100;

    private final TokenFile tokens;
    private final int blockLength;
    private final int firstBlock;
    private final int blocks;

    private TextDataset(TokenFile tokens, int blockLength, int firstBlock, int blocks) {
        this.tokens = tokens;
        this.blockLength = blockLength;
        this.firstBlock = firstBlock;
        this.blocks = blocks;
    }

    /**
     * Reads files and directories of text, see {@link DocumentReader}; messages are refused.
     *
     * @throws FormatException if a source cannot be read, naming file, line and field
     */
    public static TextDataset read(Tokenizer tokenizer, int blockLength, Path... sources) {
        return read(tokenizer, null, blockLength, sources);
    }

    /** As {@link #read(Tokenizer, int, Path...)}, of messages too, written down by a chat template. */
    public static TextDataset read(Tokenizer tokenizer, ChatTemplate chat, int blockLength, Path... sources) {
        Builder builder = new Builder(new DocumentReader(tokenizer, chat), blockLength);
        for (Path source : sources) {
            builder.add(source);
        }
        return builder.build();
    }

    /** An empty dataset, to which documents are added. */
    public static Builder builder(Tokenizer tokenizer, int blockLength) {
        return new Builder(new DocumentReader(tokenizer, null), blockLength);
    }

    /** Number of blocks; tokens of the last, incomplete block are left out. */
    public int blocks() {
        return blocks;
    }

    /** Tokens behind the last whole block of what was read, which are in none. */
    public int leftOut() {
        return (int) (tokens.tokens() % blockLength);
    }

    /** Tokens in a block. */
    public int blockLength() {
        return blockLength;
    }

    /** Tokens in all blocks. */
    public long tokens() {
        return (long) blocks * blockLength;
    }

    /** The blocks from (inclusive) to (exclusive) of the same file: to keep some for validation. */
    public TextDataset slice(int from, int to) {
        if (from < 0 || from >= to || to > blocks) {
            throw new IllegalArgumentException("slice " + from + ".." + to + " of " + blocks + " blocks");
        }
        return new TextDataset(tokens, blockLength, firstBlock + from, to - from);
    }

    /** Writes the tokens and labels of one block into arrays, starting at {@code offset}. */
    public void fill(int block, int[] ids, int[] labels, int offset) {
        if (block < 0 || block >= blocks) {
            throw new IllegalArgumentException("block " + block + " of " + blocks);
        }
        tokens.read((long) (firstBlock + block) * blockLength, ids, labels, offset, blockLength);
    }

    @Override
    public String toString() {
        return "TextDataset[" + blocks + " blocks of " + blockLength + " tokens]";
    }

    /** As {@link #builder(Tokenizer, int)}, of documents that this reader reads. */
    public static Builder builder(DocumentReader reader, int blockLength) {
        return new Builder(reader, blockLength);
    }

    /** Collects documents. */
    public static final class Builder {
        private final DocumentReader reader;
        private final int blockLength;
        private final TokenFile tokens = new TokenFile();

        private Builder(DocumentReader reader, int blockLength) {
            if (blockLength < 1) {
                throw new IllegalArgumentException("blockLength is " + blockLength);
            }
            this.reader = reader;
            this.blockLength = blockLength;
        }

        /** Adds a file, or all text files in a directory. */
        public Builder add(Path source) {
            reader.read(source, this::add);
            return this;
        }

        /** Adds one document. */
        public Builder addText(String text) {
            return addExample("", text);
        }

        /** Adds a prompt, which is read but not learnt, and what follows it. */
        public Builder addExample(String prompt, String completion) {
            add(reader.document(prompt, completion));
            return this;
        }

        /** Tokens of all documents so far. */
        public long tokens() {
            return tokens.tokens();
        }

        /**
         * The dataset of all documents so far.
         *
         * @throws IllegalArgumentException if they do not fill one block
         */
        public TextDataset build() {
            long blocks = tokens.tokens() / blockLength;
            if (blocks < 1 || blocks > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("the text holds " + tokens.tokens() + " tokens, a block needs "
                        + blockLength + ", and there may be 2^31 blocks");
            }
            return new TextDataset(tokens, blockLength, 0, (int) blocks);
        }

        private void add(Document document) {
            tokens.append(document);
        }
    }
}
