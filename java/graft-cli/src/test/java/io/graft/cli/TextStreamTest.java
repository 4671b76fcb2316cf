package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class TextStreamTest {
    /** A tokenizer of bytes: the hardest case, since every non-ASCII character is spread over tokens. */
    private static String decode(int[] ids) {
        byte[] bytes = new byte[ids.length];
        for (int i = 0; i < ids.length; i++) {
            bytes[i] = (byte) ids[i];
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    @Test
    void piecesMakeTheText() {
        String text = "naïve – 木";
        TextStream stream = new TextStream(TextStreamTest::decode);
        StringBuilder pieces = new StringBuilder();
        for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
            String piece = stream.add(value & 0xff);
            assertThat(piece).doesNotContain("\uFFFD");
            pieces.append(piece);
        }
        pieces.append(stream.finish());
        assertThat(pieces).hasToString(text);
    }

    @Test
    void theStreamEndsBeforeAStopAndHoldsBackItsBeginning() {
        TextStream stream = new TextStream(TextStreamTest::decode, List.of("\n\n", "END", "– 木"));
        assertThat(stream.add('a')).isEqualTo("a");
        assertThat(stream.add('\n')).isEmpty();
        assertThat(stream.add('b')).isEqualTo("\nb");
        assertThat(stream.add('E')).isEmpty();
        assertThat(stream.add('E')).isEqualTo("E");
        assertThat(stream.add('N')).isEmpty();
        assertThat(stream.stopped()).isFalse();
        assertThat(stream.add('D')).isEmpty();
        assertThat(stream.stopped()).isTrue();
        assertThat(stream.finish()).isEmpty();
        assertThat(stream.text()).isEqualTo("a\nbE");
    }

    @Test
    void whatBeganAsAStopIsShownAtTheEnd() {
        TextStream stream = new TextStream(TextStreamTest::decode, List.of("END"));
        assertThat(stream.add('E') + stream.add('N')).isEmpty();
        assertThat(stream.finish()).isEqualTo("EN");
        assertThat(stream.text()).isEqualTo("EN");
    }

    @Test
    void anEndInsideACharacterIsStillShown() {
        TextStream stream = new TextStream(TextStreamTest::decode);
        assertThat(stream.add('a')).isEqualTo("a");
        assertThat(stream.add(0xe2)).isEmpty();
        assertThat(stream.finish()).isEqualTo("\uFFFD");
    }
}
