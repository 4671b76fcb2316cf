package io.graft.io;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The source of a chat template, made such that the engine means by it what Jinja2 does: white space is cut here as
 * transformers' settings cut it, operands of {@code not} and values of keyword arguments get brackets, since the engine binds
 * them otherwise, and what it does not know, or would pass over in silence, is refused by name.
 */
final class ChatSource {
    private static final Set<String> TAGS = Set.of(
            "for",
            "endfor",
            "if",
            "elif",
            "else",
            "endif",
            "set",
            "endset",
            "macro",
            "endmacro",
            "break",
            "continue",
            "generation",
            "endgeneration");
    private static final Set<String> FILTERS = Set.of(
            "trim",
            "upper",
            "lower",
            "capitalize",
            "length",
            "count",
            "first",
            "last",
            "join",
            "list",
            "string",
            "int",
            "float",
            "abs",
            "replace",
            "default",
            "d",
            "tojson",
            "safe",
            "reverse",
            "map",
            "select",
            "reject",
            "selectattr",
            "rejectattr",
            "unique");
    private static final Set<String> TESTS = Set.of(
            "defined",
            "undefined",
            "none",
            "true",
            "false",
            "boolean",
            "string",
            "number",
            "integer",
            "float",
            "mapping",
            "iterable",
            "sequence",
            "odd",
            "even",
            "divisibleby",
            "equalto",
            "eq",
            "ne",
            "in",
            "sameas");
    private static final Set<String> FUNCTIONS = Set.of("raise_exception", "strftime_now", "range", "namespace");
    private static final Set<String> WORDS = Set.of("and", "or", "not", "in", "is", "if", "else", "for");
    private static final Set<String> CLOSING = Set.of(")", "]", "}", ",", ":");
    private static final Set<String> AFTER_NOT = Set.of("and", "or", "if", "else");

    private static final Pattern OPENING = Pattern.compile("\\{([{%#])([-+]?)");
    private static final Pattern RAW =
            Pattern.compile("\\{%[-+]?\\s*raw\\s*[-+]?%}(.*?)\\{%[-+]?\\s*endraw\\s*[-+]?%}", Pattern.DOTALL);
    private static final Pattern TOKEN = Pattern.compile(
            "\\s+|[A-Za-z_][A-Za-z_0-9]*|[0-9]+(?:\\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
                    + "|\"(?:[^\"\\\\]|\\\\.)*+\"|'(?:[^'\\\\]|\\\\.)*+'|==|!=|<=|>=|//|\\*\\*|[-+*/%~<>=.,:|()\\[\\]{}]");

    private final String where;
    private final String source;
    private final Set<String> macros = new HashSet<>();
    private final StringBuilder out = new StringBuilder();

    private ChatSource(String where, String source) {
        this.where = where;
        this.source = source;
    }

    /** The source for the engine, which then is not to cut white space itself. */
    static String of(String where, String template) {
        String source = template.replace("\r\n", "\n").replace('\r', '\n');
        ChatSource chat =
                new ChatSource(where, source.endsWith("\n") ? source.substring(0, source.length() - 1) : source);
        chat.rewrite();
        return chat.out.toString();
    }

    private void rewrite() {
        Matcher opening = OPENING.matcher(source);
        int at = 0;
        while (opening.find(at)) {
            String kind = opening.group(1);
            text(at, opening.start(), kind, opening.group(2));
            if (kind.equals("%")
                    && RAW.matcher(source)
                            .region(opening.start(), source.length())
                            .lookingAt()) {
                throw refuse(opening.start(), "the tag raw is not supported");
            }
            int end = end(opening.end(), kind);
            char control = source.charAt(end - 1);
            boolean controlled = end > opening.end() && (control == '-' || control == '+');
            String inside = source.substring(opening.end(), controlled ? end - 1 : end);
            if (!kind.equals("#")) {
                List<String> tokens = tokens(inside, opening.end());
                if (kind.equals("%")) {
                    checkTag(tokens, opening.start());
                }
                check(tokens, opening.start());
                out.append('{').append(kind).append(' ');
                boolean macro = !tokens.isEmpty() && tokens.get(0).equals("macro");
                // why no space at dots: the engine wants the name and the field of a namespace in one.
                out.append(String.join(" ", macro ? tokens : bracketed(tokens)).replace(" . ", "."));
                out.append(' ').append(kind.equals("{") ? "}" : kind).append('}');
            }
            at = end + 2;
            if (controlled && control == '-') {
                while (at < source.length() && Character.isWhitespace(source.charAt(at))) {
                    at++;
                }
            } else if (!controlled && !kind.equals("{") && at < source.length() && source.charAt(at) == '\n') {
                at++;
            }
        }
        text(at, source.length(), "", "");
    }

    /** Text before a tag: its white space goes by {@code -}, or, before a block, where nothing else is on its line. */
    private void text(int from, int to, String kind, String control) {
        String text = source.substring(from, to);
        String cut = text;
        if (control.equals("-")) {
            cut = text.stripTrailing();
        } else if (control.isEmpty() && (kind.equals("%") || kind.equals("#"))) {
            int line = text.lastIndexOf('\n') + 1;
            boolean starts = line > 0 || from == 0 || source.charAt(from - 1) == '\n';
            if (starts && text.substring(line).matches("[ \\t]*")) {
                cut = text.substring(0, line);
            }
        }
        boolean open = out.length() > 0 && out.charAt(out.length() - 1) == '{';
        if (open && !cut.isEmpty() && "{%#".indexOf(cut.charAt(0)) >= 0) {
            throw refuse(from, "a tag that a comment hides is not supported");
        }
        out.append(cut);
    }

    private int end(int from, String kind) {
        String closing = kind.equals("{") ? "}}" : kind + "}";
        if (kind.equals("#")) {
            int end = source.indexOf(closing, from);
            if (end < 0) {
                throw refuse(from, "a comment does not end");
            }
            return end;
        }
        int at = from;
        int depth = 0;
        while (at < source.length()) {
            if (depth == 0 && source.startsWith(closing, at)) {
                return at;
            }
            char c = source.charAt(at);
            if (c == '\'' || c == '"') {
                at = afterString(at, c);
                continue;
            }
            depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            at++;
        }
        throw refuse(from, "a tag does not end");
    }

    private int afterString(int from, char quote) {
        for (int at = from + 1; at < source.length(); at++) {
            if (source.charAt(at) == '\\') {
                at++;
            } else if (source.charAt(at) == quote) {
                return at + 1;
            }
        }
        throw refuse(from, "a string does not end");
    }

    private List<String> tokens(String inside, int from) {
        List<String> tokens = new ArrayList<>();
        Matcher token = TOKEN.matcher(inside);
        int at = 0;
        while (at < inside.length()) {
            if (!token.region(at, inside.length()).lookingAt()) {
                throw refuse(from + at, "'" + inside.charAt(at) + "' is not supported");
            }
            if (!token.group().isBlank()) {
                tokens.add(token.group());
            }
            at = token.end();
        }
        return tokens;
    }

    private void checkTag(List<String> tokens, int place) {
        String tag = tokens.isEmpty() ? "" : tokens.get(0);
        if (!TAGS.contains(tag)) {
            throw refuse(place, "the tag " + tag + " is not supported");
        }
        if (tag.equals("macro") && tokens.size() > 1) {
            macros.add(tokens.get(1));
        }
        if (tag.equals("for")) {
            int depth = 0;
            for (String token : tokens) {
                depth += "([{".contains(token) ? 1 : ")]}".contains(token) ? -1 : 0;
                if (depth == 0 && (token.equals("if") || token.equals("recursive"))) {
                    throw refuse(place, "'" + token + "' in the tag for is not supported");
                }
            }
        }
    }

    /** Names of filters, tests and functions, before the engine would ignore one. */
    private void check(List<String> tokens, int place) {
        for (int i = 0; i < tokens.size(); i++) {
            String token = tokens.get(i);
            String before = i == 0 ? "" : tokens.get(i - 1);
            String after = i + 1 == tokens.size() ? "" : tokens.get(i + 1);
            if (before.equals("|")) {
                expect(FILTERS, token, "the filter ", place);
            } else if (before.equals("is") && !token.equals("not")) {
                expect(TESTS, token, "the test ", place);
            } else if (before.equals("not") && i > 1 && tokens.get(i - 2).equals("is")) {
                expect(TESTS, token, "the test ", place);
            } else if (after.equals("(") && Character.isJavaIdentifierStart(token.charAt(0)) && !before.equals(".")) {
                if (!WORDS.contains(token) && !macros.contains(token) && !TAGS.contains(token)) {
                    expect(FUNCTIONS, token, "the function ", place);
                }
            }
        }
    }

    private void expect(Set<String> known, String name, String what, int place) {
        if (!known.contains(name)) {
            throw refuse(place, what + name + " is not supported");
        }
    }

    /** With brackets that leave no doubt. */
    private List<String> bracketed(List<String> tokens) {
        List<String> out = new ArrayList<>();
        int[] at = {0};
        while (at[0] < tokens.size()) {
            bracket(tokens, at, out, 0);
        }
        return out;
    }

    private void bracket(List<String> tokens, int[] at, List<String> out, int depth) {
        String token = tokens.get(at[0]);
        String before = at[0] == 0 ? "" : tokens.get(at[0] - 1);
        String after = at[0] + 1 == tokens.size() ? "" : tokens.get(at[0] + 1);
        at[0]++;
        if (token.equals("not") && !before.equals("is") && !after.equals("in")) {
            out.add("( not (");
            operand(tokens, at, out, depth, AFTER_NOT);
            out.add(") )");
        } else if (token.equals("=") && depth > 0) {
            out.add("= (");
            operand(tokens, at, out, depth, Set.of());
            out.add(")");
        } else if (token.equals("[")
                && tokens.size() >= at[0] + 5
                && tokens.subList(at[0], at[0] + 5).equals(List.of(":", ":", "-", "1", "]"))) {
            at[0] += 5;
            if (at[0] < tokens.size()
                    && (tokens.get(at[0]).equals("[") || tokens.get(at[0]).equals("."))) {
                throw new FormatException(where, "'" + tokens.get(at[0]) + "' behind [::-1] is not supported");
            }
            out.add("| reverse | list");
        } else if ("([{".contains(token)) {
            out.add(token);
            while (at[0] < tokens.size() && !")]}".contains(tokens.get(at[0]))) {
                bracket(tokens, at, out, depth + 1);
            }
            if (at[0] < tokens.size()) {
                out.add(tokens.get(at[0]++));
            }
        } else {
            out.add(token);
        }
    }

    private void operand(List<String> tokens, int[] at, List<String> out, int depth, Set<String> ends) {
        while (at[0] < tokens.size() && !CLOSING.contains(tokens.get(at[0])) && !ends.contains(tokens.get(at[0]))) {
            bracket(tokens, at, out, depth);
        }
    }

    private FormatException refuse(int place, String problem) {
        long line =
                source.substring(0, Math.min(place, source.length())).lines().count();
        return new FormatException(where, "line " + Math.max(1, line) + " of the template: " + problem);
    }
}
