package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Method;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.Model.CommandSpec;

/** Which options a method reads is known by its reading them. */
class MethodSettingsTest extends FinetuneRuns {
    /** An option that no accessor reads, or an accessor that says another name, would be refused for every method. */
    @Test
    void everyOptionIsReadUnderItsName() throws Exception {
        MethodSettings settings = new MethodSettings(new MethodOptions());
        for (Method accessor : MethodSettings.class.getDeclaredMethods()) {
            if (accessor.getParameterCount() == 0) {
                accessor.invoke(settings);
            }
        }
        settings.keptShare(1);
        Set<String> options = new TreeSet<>();
        CommandSpec.forAnnotatedObject(new MethodOptions())
                .options()
                .forEach(option -> options.add(option.longestName()));
        assertThat(settings.read().keySet()).containsExactlyInAnyOrderElementsOf(options);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "full|--target-modules q_proj|--target-modules",
                "full|--alpha 3|--alpha",
                "ia3|--rank 8|--rank",
                "paca|--virtual-tokens 7|--virtual-tokens",
                "paca|--reselect-by norm|--reselect-by",
                "lora|--samples 3|--samples",
                "shira|--samples 3|--samples",
                "smop+lora|--balance 1 --columns norm|--columns",
                "prompt|--experts 2|--experts",
            })
    void anOptionThatTheMethodDoesNotReadIsRefused(String method, String options, String refused) {
        Cli run = run(method, options);
        assertThat(run.err()).contains(refused + " is nothing that --method " + method + " reads");
        assertThat(run.status()).isEqualTo(2);
        assertThat(folder.resolve("out")).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "eva|--samples 3 --rank-spread 1",
                "shira|--samples 3 --selection snip",
                "paca|--reselect-every 2 --reselect-by norm",
                "prompt+lora|--virtual-tokens 3 --rank 2 --target-modules q_proj",
                "moelora|--experts 2 --top-k 1 --balance 1 --rank 2",
            })
    void thoseThatItReadsAreTaken(String method, String options) {
        Cli run = run(method, options + " --steps 1");
        assertThat(run.status()).as(run.err()).isZero();
    }

    private Cli run(String method, String options) {
        return finetune(folder.resolve("out"), with(new Object[] {"--method", method}, (Object[]) options.split(" ")));
    }
}
