package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.AdapterFolder;
import io.graft.adapter.Dept;
import io.graft.adapter.LoraSet;
import io.graft.adapter.Lst;
import io.graft.adapter.PTuning;
import io.graft.adapter.PrefixPropagation;
import io.graft.io.Fixtures;
import io.graft.io.PeftDeptConfig;
import io.graft.io.PeftLstConfig;
import io.graft.io.PeftPrefixPropagationConfig;
import io.graft.io.PeftPromptEncoderConfig;
import io.graft.nn.PagePool;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Many prompts together give each the tokens that it gets alone. */
class BatchGeneratorTest {
    private static final int[][] PROMPTS = {
        {1, 7, 3, 9, 4, 30, 11}, {5}, {2, 2, 8, 40, 6, 3, 1, 9, 10, 12, 21, 4, 4}, {17, 3}, {6, 5, 4, 3}, {33, 1, 20}
    };

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static List<BatchGenerator.Request> requests(int count, double temperature, String... adapters) {
        List<BatchGenerator.Request> requests = new ArrayList<>();
        for (int i = 0; i < PROMPTS.length; i++) {
            Sampling sampling =
                    new Sampling(temperature, 0, 0.95, 40 + i).withRepetitionPenalty(temperature > 0 ? 1.2 : 1);
            String adapter = adapters.length == 0 ? null : adapters[i % adapters.length];
            requests.add(new BatchGenerator.Request(PROMPTS[i], count + i, sampling, adapter));
        }
        return requests;
    }

    private static List<int[]> alone(Llama model, List<BatchGenerator.Request> requests) {
        List<int[]> results = new ArrayList<>();
        for (BatchGenerator.Request request : requests) {
            try (Generator generator = new Generator(model, request.adapter())) {
                results.add(generator.generate(request.prompt(), request.count(), request.sampling(), token -> true));
            }
        }
        return results;
    }

    private static void assertEachAsAlone(Llama model, List<BatchGenerator.Request> requests) {
        List<int[]> expected = alone(model, requests);
        for (int rows : new int[] {1, 2, 4, 9}) {
            List<List<Integer>> seen = new ArrayList<>();
            requests.forEach(request -> seen.add(new ArrayList<>()));
            List<int[]> results = new BatchGenerator(model, rows)
                    .generate(requests, (request, token) -> seen.get(request).add(token));
            for (int i = 0; i < requests.size(); i++) {
                assertThat(results.get(i))
                        .as("request " + i + ", " + rows + " rows")
                        .isEqualTo(expected.get(i));
                assertThat(seen.get(i).stream().mapToInt(Integer::intValue).toArray())
                        .isEqualTo(expected.get(i));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void eachPromptGetsTheTokensThatItGetsAlone(String name) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, name, DType.F32, Llama.Options.inference())) {
            assertEachAsAlone(model, requests(6, 0));
            assertEachAsAlone(model, requests(6, 1.3));
        }
    }

    @Test
    void overCodesToo() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(
                        scope, "llama_gqa", DType.F32, Llama.Options.inference().withBase(Weight.Kind.NF4))) {
            assertEachAsAlone(model, requests(6, 0));
        }
    }

    /** With what stands before a text, in it, or beside the blocks. */
    @ParameterizedTest
    @ValueSource(strings = {"lora", "dora", "ia3", "prefix_tuning", "prompt_tuning", "adaption_prompt"})
    void withAnAdapter(String name) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Adapter adapter = AdapterFolder.frozen(Fixtures.path("adapters/llama_gqa/" + name));
            try (Llama model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(adapter))) {
                assertEachAsAlone(model, requests(5, 0));
            }
        }
    }

    /** With virtual tokens that a network makes, that layers add to, or behind which embeddings depend on their place. */
    @ParameterizedTest
    @ValueSource(strings = {"p-tuning", "propagation", "dept"})
    void withVirtualTokensOfOtherKinds(String kind) {
        Adapter adapter = switch (kind) {
            case "p-tuning" -> PTuning.create(PeftPromptEncoderConfig.of("base", 3, 16), 1);
            case "propagation" -> PrefixPropagation.create(PeftPrefixPropagationConfig.of("base", 3), 1);
            default -> Dept.create(PeftDeptConfig.of("base", 3, 30, 4), 1);
        };
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(adapter))) {
            SplittableRandom random = new SplittableRandom(3);
            for (Parameter parameter : model.trainable()) {
                parameter
                        .value()
                        .set(random.doubles(parameter.value().elements(), -0.5, 0.5)
                                .toArray());
            }
            model.parametersChanged();
            assertEachAsAlone(model, requests(5, 0));
        }
    }

    /** Beside the blocks: its keys and values lie in the same pages. */
    @Test
    void withANetworkBesideTheBlocks() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(
                        scope,
                        "llama_gqa",
                        DType.F32,
                        Llama.Options.training(Lst.create(PeftLstConfig.of("base", 2), 1)))) {
            SplittableRandom random = new SplittableRandom(3);
            for (Parameter parameter : model.trainable()) {
                parameter
                        .value()
                        .set(random.doubles(parameter.value().elements(), -0.5, 0.5)
                                .toArray());
            }
            assertEachAsAlone(model, requests(5, 0));
            assertEachAsAlone(model, requests(5, 1.3));
        }
    }

    /** Requests wait for pages, get those that others had, and no more memory is taken than was said. */
    @Test
    void keysAndValuesStayWithinTheirPages() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.inference())) {
            // Pages of each: 1, 1, 1, 1, 1, and 3 of the last, which starts with 2 of others free or with 3.
            List<BatchGenerator.Request> requests = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                int count = i == 5 ? 150 : 20 + 5 * i;
                requests.add(new BatchGenerator.Request(PROMPTS[i], count, Sampling.greedy(), null));
            }
            List<int[]> expected = alone(model, requests);
            int[] room = {192, 256, 4096};
            long[] peaks = new long[room.length];
            for (int i = 0; i < room.length; i++) {
                long before = context.memory();
                context.resetPeak();
                List<int[]> results =
                        new BatchGenerator(model, 2, room[i]).generate(requests, (request, token) -> true);
                for (int request = 0; request < requests.size(); request++) {
                    assertThat(results.get(request))
                            .as(room[i] + ", " + request)
                            .isEqualTo(expected.get(request));
                }
                assertThat(context.memory()).isEqualTo(before);
                peaks[i] = context.peakMemory(Memory.ACTIVATION);
            }
            long page = PagePool.bytes(DType.F32, model.shape(), model.layers(), 64);
            assertThat(peaks[1] - peaks[0]).isEqualTo(page);
            assertThat(peaks[2]).isEqualTo(peaks[1]);
            assertThatThrownBy(() -> new BatchGenerator(model, 4, 191).generate(requests, (request, made) -> true))
                    .hasMessageContaining("a request takes 3 pages of 64 tokens")
                    .hasMessageContaining("191 tokens are room for 2");
        }
    }

    @Test
    void eachRowWithItsOwnAdapter() {
        Map<String, Path> folders = new LinkedHashMap<>();
        folders.put("a", Fixtures.path("adapters/llama_gqa/lora"));
        folders.put("b", Fixtures.path("adapters/llama_gqa/lora_rs"));
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model =
                        Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(LoraSet.frozen(folders)))) {
            assertEachAsAlone(model, requests(6, 0, "a", LoraSet.BASE, "b"));
            assertThatThrownBy(() -> new BatchGenerator(model, 3)
                            .generate(requests(3, 0, "a", "none"), (request, token) -> true))
                    .hasMessageContaining("none");
        }
    }

    /** A row that its listener ends makes room, and those behind it are not disturbed. */
    @Test
    void rowsEndWhenTheyAreToldTo() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.inference())) {
            List<BatchGenerator.Request> requests = requests(8, 0);
            List<int[]> expected = alone(model, requests);
            int[] made = new int[requests.size()];
            List<int[]> results =
                    new BatchGenerator(model, 2).generate(requests, (request, token) -> ++made[request] < request + 1);
            for (int i = 0; i < results.size(); i++) {
                assertThat(results.get(i)).isEqualTo(Arrays.copyOf(expected.get(i), i + 1));
            }
            List<BatchGenerator.Request> none =
                    List.of(new BatchGenerator.Request(new int[] {1}, 0, Sampling.greedy(), null));
            assertThat(new BatchGenerator(model, 2)
                            .generate(none, (request, token) -> true)
                            .get(0))
                    .isEmpty();
            assertThat(new BatchGenerator(model, 2).generate(List.of(), (request, token) -> true))
                    .isEmpty();
            assertThatThrownBy(() -> new BatchGenerator(model, 0)).hasMessageContaining("0 rows");
            assertThatThrownBy(() -> new BatchGenerator(model, 2)
                            .generate(
                                    List.of(new BatchGenerator.Request(new int[0], 1, Sampling.greedy(), null)),
                                    (request, token) -> true))
                    .hasMessageContaining("the prompt has no tokens");
        }
    }

    /** One token at a time, each made when it is asked for. */
    @Test
    void aStreamIsPulled() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.inference());
                Generator generator = new Generator(model)) {
            int[] expected = generator.greedy(PROMPTS[0], 5);
            List<Integer> tokens = new ArrayList<>();
            try (TokenStream stream = generator.stream(PROMPTS[0], 5, Sampling.greedy())) {
                stream.forEachRemaining((int token) -> tokens.add(token));
                assertThat(stream.hasNext()).isFalse();
                assertThatThrownBy(stream::nextInt).isInstanceOf(NoSuchElementException.class);
            }
            assertThat(tokens.stream().mapToInt(Integer::intValue).toArray()).isEqualTo(expected);
            TokenStream early = generator.stream(PROMPTS[0], 5, Sampling.greedy());
            assertThat(early.nextInt()).isEqualTo(expected[0]);
            early.close();
            assertThat(early.hasNext()).isFalse();
        }
    }
}
