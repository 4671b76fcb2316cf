package io.graft.io;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaProcessors;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The template engine of chats (Jinjava) with the settings, functions and filters of transformers' {@code
 * apply_chat_template}, shut in: no includes, no files, no Java objects ({@link PythonMethods}), bounded time, depth and sizes.
 */
final class ChatEngine {
    static final int MAX_LENGTH = 4 << 20;
    private static final int MAX_ITEMS = 100_000;
    private static final int MAX_DEPTH = 40;
    private static final Duration MAX_TIME = Duration.ofSeconds(5);
    private static final ThreadLocal<Rendering> CURRENT = new ThreadLocal<>();

    private static final Jinjava JINJAVA = make();

    /** One run of a template. */
    private static final class Rendering {
        private final long deadline = System.nanoTime() + MAX_TIME.toNanos();
        private final Supplier<LocalDateTime> now;
        private String refusal;

        Rendering(Supplier<LocalDateTime> now) {
            this.now = now;
        }
    }

    private ChatEngine() {}

    private static Jinjava make() {
        JinjavaConfig config = JinjavaConfig.newBuilder()
                .withKeepTrailingNewline(true)
                .withMaxRenderDepth(MAX_DEPTH)
                .withMaxOutputSize(MAX_LENGTH)
                .withMaxStringLength(MAX_LENGTH)
                .withMaxListSize(MAX_ITEMS)
                .withMaxMapSize(MAX_ITEMS)
                .withRangeLimit(MAX_ITEMS)
                .withEnableRecursiveMacroCalls(true)
                .withMaxMacroRecursionDepth(MAX_DEPTH)
                .withNestedInterpretationEnabled(false)
                .withElResolver(new PythonMethods())
                .withDisabled(Map.of(
                        Context.Library.TAG,
                        Set.of("include", "import", "from", "extends", "block", "cycle", "ifchanged", "autoescape"),
                        Context.Library.FILTER,
                        Set.of(
                                "render",
                                "fromyaml",
                                "toyaml",
                                "log",
                                "pprint",
                                "random",
                                "shuffle",
                                "ipaddr",
                                "ipv4",
                                "ipv6"),
                        Context.Library.FUNCTION,
                        Set.of("super", "type")))
                .withProcessors(JinjavaProcessors.newBuilder()
                        .withNodePreProcessor(ChatEngine::expectTime)
                        .build())
                .withLegacyOverrides(LegacyOverrides.newBuilder()
                        .withIterateOverMapKeys(true)
                        .withUsePyishObjectMapper(true)
                        .withUseNaturalOperatorPrecedence(true)
                        .withParseWhitespaceControlStrictly(true)
                        .withAllowAdjacentTextNodes(true)
                        .withUseTrimmingForNotesAndExpressions(true)
                        .withKeepNullableLoopValues(true)
                        .withHandleBackslashInQuotesOnly(true)
                        .build())
                .build();
        Jinjava engine = new Jinjava(config);
        engine.setResourceLocator((name, encoding, interpreter) -> {
            throw new InterpretException("a template reads no other one, such as " + name);
        });
        engine.registerFunction(function("raise_exception", "raise", Object.class));
        engine.registerFunction(function("strftime_now", "strftimeNow", Object.class));
        engine.registerFilter(new ToJson());
        engine.registerTag(new Generation());
        return engine;
    }

    private static ELFunctionDefinition function(String name, String method, Class<?>... types) {
        return new ELFunctionDefinition("", name, ChatEngine.class, method, types);
    }

    /** Called by templates. */
    public static Object raise(Object message) {
        CURRENT.get().refusal = String.valueOf(message);
        throw new InterpretException(String.valueOf(message));
    }

    /** Called by templates. */
    public static String strftimeNow(Object format) {
        return Strftime.format(CURRENT.get().now.get(), String.valueOf(format));
    }

    private static void expectTime(Node node, JinjavaInterpreter interpreter) {
        Rendering rendering = CURRENT.get();
        if (rendering != null && (System.nanoTime() > rendering.deadline || rendering.refusal != null)) {
            throw new Stopped();
        }
    }

    /** why an Error: the engine catches exceptions, notes them and goes on. */
    private static final class Stopped extends Error {
        private static final long serialVersionUID = 1L;

        Stopped() {
            super(null, null, false, false);
        }
    }

    static void expectLength(long length) {
        if (length > MAX_LENGTH) {
            throw new InterpretException("a text of " + length + " characters, more than " + MAX_LENGTH);
        }
    }

    static Object filter(Filter filter, Object[] p) {
        return filter.filter(p[0], (JinjavaInterpreter) p[1], (Object[]) p[2], named(p[3]));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> named(Object map) {
        return (Map<String, Object>) map;
    }

    static Object test(ExpTest test, String name, Object[] p) {
        Object[] arguments = p.length > 2 && p[2] instanceof Object[] more ? more : new Object[0];
        JinjavaInterpreter interpreter = (JinjavaInterpreter) p[1];
        return name.equals("evaluateNegated")
                ? test.evaluateNegated(p[0], interpreter, arguments)
                : test.evaluate(p[0], interpreter, arguments);
    }

    /**
     * Renders a template.
     *
     * @param where starts every complaint
     * @throws FormatException if the template refuses the values, is wrong, or goes beyond the limits
     */
    static String render(String where, String template, Map<String, Object> values, Supplier<LocalDateTime> now) {
        Rendering rendering = new Rendering(now);
        CURRENT.set(rendering);
        try {
            RenderResult result = JINJAVA.renderForResult(ChatSource.of(where, template), values);
            for (TemplateError error : result.getErrors()) {
                if (rendering.refusal == null && error.getSeverity() == TemplateError.ErrorType.FATAL) {
                    throw new FormatException(where, "line " + error.getLineno() + ": " + error.getMessage());
                }
            }
            if (rendering.refusal == null) {
                return result.getOutput();
            }
        } catch (Stopped | StackOverflowError stopped) {
            if (rendering.refusal == null) {
                String limit = stopped instanceof Stopped ? MAX_TIME.toSeconds() + " s" : "depth";
                throw new FormatException(where, "the template goes beyond its limit of " + limit);
            }
        } finally {
            CURRENT.remove();
        }
        throw new FormatException(where, "the template refuses these messages: " + rendering.refusal);
    }

    /** {@code json.dumps}, as transformers registers it. */
    private static final class ToJson implements AdvancedFilter {
        @Override
        public Object filter(Object value, JinjavaInterpreter interpreter, Object[] given, Map<String, Object> named) {
            Object indent = named.get("indent");
            return PythonJson.dumps(value, indent instanceof Number number ? number.intValue() : -1);
        }

        @Override
        public String getName() {
            return "tojson";
        }
    }

    /** Marks what the assistant says: shown as it is. */
    private static final class Generation implements Tag {
        private static final long serialVersionUID = 1L;

        @Override
        public String interpret(TagNode node, JinjavaInterpreter interpreter) {
            StringBuilder out = new StringBuilder();
            for (Node child : node.getChildren()) {
                out.append(child.render(interpreter));
            }
            return out.toString();
        }

        @Override
        public String getName() {
            return "generation";
        }

        @Override
        public String getEndTagName() {
            return "endgeneration";
        }
    }
}
