package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PeftOftConfigTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"oft", "oft_exact"})
    void peftsFileIsWrittenAsItWas(String name) throws Exception {
        Path file = Fixtures.path("adapters/llama_gqa/" + name + "/" + PeftConfig.FILE);
        assertThat(PeftOftConfig.read(file).toJson().strip())
                .isEqualTo(Files.readString(file).strip());
    }

    @Test
    void defaultsAndANewOne() {
        PeftOftConfig config = oft("'r':null");
        assertThat(config.blockSize(64)).isEqualTo(32);
        assertThat(config.terms()).isEqualTo(5);
        assertThat(config.shared()).isFalse();
        PeftOftConfig.of("base", List.of("q_proj"), 8, true).write(directory);
        assertThat(PeftOftConfig.read(directory).terms()).isZero();
        assertThat(PeftOftConfig.read(directory))
                .hasToString("PeftOftConfig[r=0, oft_block_size=8, target_modules=[\"q_proj\"]]");
    }

    /** PEFT's adjustment, by size of a block and by their number. */
    @ParameterizedTest
    @CsvSource({"32, 48, 24", "5, 48, 4", "7, 48, 6", "11, 48, 12", "500, 48, 48", "10, 13, 13", "1, 48, 1"})
    void sizesThatDoNotDivideAreMoved(int wanted, int inputs, int size) {
        assertThat(oft("'oft_block_size':" + wanted).blockSize(inputs)).isEqualTo(size);
        assertThat(oft("'oft_block_size':0,'r':" + wanted).blockSize(inputs)).isEqualTo(inputs / size);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'LORA' | field 'peft_type' is 'LORA', supported is 'OFT'",
                "'coft':true | field 'coft' is true, supported is false",
                "'bias':'all' | field 'bias' is \"all\", supported is none",
                "'module_dropout':0.1 | field 'module_dropout' is 0.1, supported is 0",
                "'r':4 | field 'r' is 4 beside oft_block_size 32, expected one of them to be 0",
                "'oft_block_size':-2 | field 'r' is 0 beside oft_block_size -2, expected one of them to be 0",
                "'num_cayley_neumann_terms':17 | field 'num_cayley_neumann_terms' is 17, expected at most 16"
            })
    void whatIsNotComputedIsRefused(String fields, String message) {
        assertThatThrownBy(() -> oft(fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }

    private static PeftOftConfig oft(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'OFT',";
        return PeftOftConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
