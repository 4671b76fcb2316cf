package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Says which modules a field such as {@code target_modules} of a PEFT configuration names: a list holds whole names or
 * their last parts; a text is one regular expression for the whole name.
 */
record ModuleMatcher(List<String> names, Pattern pattern) {
    static final String ALL_LINEAR = "all-linear";
    static final ModuleMatcher NONE = new ModuleMatcher(List.of(), null);

    static ModuleMatcher of(JsonFields fields, String field) {
        JsonNode node = fields.node(field);
        if (node == null) {
            return NONE;
        }
        if (node.isTextual()) {
            return new ModuleMatcher(List.of(), compile(fields, field, node.textValue()));
        }
        return new ModuleMatcher(fields.texts(field), null);
    }

    boolean isEmpty() {
        return pattern == null && names.isEmpty();
    }

    boolean matches(String module) {
        if (pattern != null) {
            return pattern.matcher(module).matches();
        }
        return names.stream().anyMatch(name -> module.equals(name) || module.endsWith("." + name));
    }

    /** Compiles an expression of Python; its named groups are spelled differently in Java. */
    static Pattern compile(JsonFields fields, String field, String expression) {
        try {
            return Pattern.compile(expression.replace("(?P<", "(?<"));
        } catch (PatternSyntaxException e) {
            throw fields.refuse(field, "holds '" + expression + "', no regular expression: " + e.getDescription());
        }
    }

    /** The number of the layer that {@code module} belongs to, or -1; {@code containers} as in layers_pattern. */
    static int layerOf(String module, List<String> containers) {
        for (String container : containers.isEmpty() ? List.of("[^.]*") : containers) {
            Matcher matcher =
                    Pattern.compile(".*?\\." + container + "\\.(\\d{1,9})\\.").matcher(module);
            if (matcher.lookingAt()) {
                return Integer.parseInt(matcher.group(1));
            }
        }
        return -1;
    }
}
