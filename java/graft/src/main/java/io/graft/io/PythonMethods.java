package io.graft.io;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.util.ForLoop;
import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/**
 * What a chat template may do with a value: the methods of Python's strings, lists and dicts that templates use, and nothing
 * else. why: a template comes with a model from anywhere, and no method of a Java object may be within its reach; this stands
 * in place of the engine's own resolver of methods by reflection.
 */
final class PythonMethods extends ELResolver {
    @Override
    public Object invoke(ELContext context, Object base, Object method, Class<?>[] types, Object[] given) {
        Object[] parameters = given == null ? new Object[0] : given;
        context.setPropertyResolved(true);
        String name = String.valueOf(method);
        if (base instanceof Filter filter && name.equals("filter")) {
            return ChatEngine.filter(filter, parameters);
        }
        if (base instanceof ExpTest test) {
            return ChatEngine.test(test, name, parameters);
        }
        if (base instanceof CharSequence text) {
            return onText(text.toString(), name, texts(name, parameters));
        }
        if (base instanceof Map<?, ?> map) {
            return onMap(map, name, parameters);
        }
        throw unknown(base, name);
    }

    private static InterpretException unknown(Object base, String name) {
        String type = base == null ? "nothing" : base instanceof Collection ? "a list" : "such a value";
        return new InterpretException("the method " + name + " of " + type + " is not supported");
    }

    private static String[] texts(String name, Object[] parameters) {
        String[] texts = new String[parameters.length];
        for (int i = 0; i < texts.length; i++) {
            if (parameters[i] != null
                    && !(parameters[i] instanceof CharSequence)
                    && !(parameters[i] instanceof Number)) {
                throw new InterpretException("the method " + name + " of a string takes strings");
            }
            texts[i] = parameters[i] == null ? null : parameters[i].toString();
        }
        return texts;
    }

    private static Object onText(String text, String name, String[] given) {
        String first = given.length == 0 ? null : given[0];
        switch (name) {
            case "strip":
                return strip(text, first, true, true);
            case "lstrip":
                return strip(text, first, true, false);
            case "rstrip":
                return strip(text, first, false, true);
            case "upper":
                return text.toUpperCase(Locale.ROOT);
            case "lower":
                return text.toLowerCase(Locale.ROOT);
            case "title":
                return title(text);
            case "capitalize":
                return text.isEmpty()
                        ? text
                        : text.substring(0, 1).toUpperCase(Locale.ROOT)
                                + text.substring(1).toLowerCase(Locale.ROOT);
            default:
                break;
        }
        if (name.equals("split") || name.equals("rsplit")) {
            return split(text, first, given.length < 2 ? -1 : Integer.parseInt(given[1]), name.equals("rsplit"));
        }
        if (first == null) {
            throw unknown(text, name);
        }
        return switch (name) {
            case "startswith" -> text.startsWith(first);
            case "endswith" -> text.endsWith(first);
            case "find" -> (long) text.indexOf(first);
            case "count" -> (long) (split(text, first, -1, false).size() - 1);
            case "replace" -> replace(text, first, given);
            default -> throw unknown(text, name);
        };
    }

    private static Object onMap(Map<?, ?> map, String name, Object[] given) {
        return switch (name) {
            case "items" ->
                map.entrySet().stream()
                        .map(entry -> Arrays.asList(entry.getKey(), entry.getValue()))
                        .toList();
            case "keys" -> new ArrayList<>(map.keySet());
            case "values" -> new ArrayList<>(map.values());
            case "get" -> {
                Object found = given.length == 0 || given[0] == null ? null : map.get(given[0].toString());
                yield found == null && given.length > 1 ? given[1] : found;
            }
            default -> throw unknown(map, name);
        };
    }

    private static String strip(String text, String characters, boolean left, boolean right) {
        int from = 0;
        int to = text.length();
        while (left && from < to && stripped(text.charAt(from), characters)) {
            from++;
        }
        while (right && to > from && stripped(text.charAt(to - 1), characters)) {
            to--;
        }
        return text.substring(from, to);
    }

    private static boolean stripped(char c, String characters) {
        // why the four: separators of files, groups, records and units are white space to Python's strings.
        return characters == null
                ? Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85 || (c >= 0x1c && c <= 0x1f)
                : characters.indexOf(c) >= 0;
    }

    private static String title(String text) {
        StringBuilder out = new StringBuilder(text.toLowerCase(Locale.ROOT));
        for (int i = 0; i < out.length(); i++) {
            if (Character.isLetter(out.charAt(i)) && (i == 0 || !Character.isLetter(out.charAt(i - 1)))) {
                out.setCharAt(i, Character.toTitleCase(out.charAt(i)));
            }
        }
        return out.toString();
    }

    private static String replace(String text, String old, String[] given) {
        if (given.length < 2 || given[1] == null || old.isEmpty()) {
            throw new InterpretException(
                    "the method replace of a string takes what to replace, not empty, and by what");
        }
        ChatEngine.expectLength((long) text.length() + (long) (text.length() / old.length()) * given[1].length());
        return text.replace(old, given[1]);
    }

    private static List<String> split(String text, String separator, int most, boolean fromRight) {
        List<String> parts = new ArrayList<>();
        if (separator == null) {
            for (String word : text.strip().split("\\s+", most < 0 ? 0 : most + 1)) {
                if (!word.isEmpty()) {
                    parts.add(word);
                }
            }
            return parts;
        }
        if (separator.isEmpty()) {
            throw new InterpretException("split: the separator is empty");
        }
        String rest = text;
        while (most < 0 || parts.size() < most) {
            int at = fromRight ? rest.lastIndexOf(separator) : rest.indexOf(separator);
            if (at < 0) {
                break;
            }
            String before = rest.substring(0, at);
            String after = rest.substring(at + separator.length());
            parts.add(fromRight ? 0 : parts.size(), fromRight ? after : before);
            rest = fromRight ? before : after;
        }
        parts.add(fromRight ? 0 : parts.size(), rest);
        return parts;
    }

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
        if (base instanceof Map<?, ?> map) {
            context.setPropertyResolved(true);
            return property == null ? null : map.get(property.toString());
        }
        if (base instanceof List<?> list) {
            context.setPropertyResolved(true);
            return at(list, property);
        }
        if (base instanceof CharSequence text
                && property != null
                && property.toString().matches("-?[0-9]{1,9}")) {
            context.setPropertyResolved(true);
            List<String> characters =
                    text.codePoints().mapToObj(Character::toString).toList();
            return at(characters, property);
        }
        context.setPropertyResolved(true);
        return base instanceof ForLoop loop && property != null ? onLoop(loop, property.toString()) : null;
    }

    private static Object onLoop(ForLoop loop, String property) {
        return switch (property) {
            case "index" -> loop.getIndex();
            case "index0" -> loop.getIndex0();
            case "first" -> loop.isFirst();
            case "last" -> loop.isLast();
            case "length" -> loop.getLength();
            case "revindex" -> loop.getRevindex();
            case "revindex0" -> loop.getRevindex0();
            default -> throw new InterpretException("loop." + property + " is not supported");
        };
    }

    private static Object at(List<?> list, Object property) {
        if (property == null || !property.toString().matches("-?[0-9]{1,9}")) {
            return null;
        }
        int index = Integer.parseInt(property.toString());
        int place = index < 0 ? index + list.size() : index;
        return place >= 0 && place < list.size() ? list.get(place) : null;
    }

    @Override
    public Class<?> getType(ELContext context, Object base, Object property) {
        return Object.class;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {
        throw new InterpretException("a template cannot change the values that it is given");
    }

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
        return true;
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
        return List.<FeatureDescriptor>of().iterator();
    }

    @Override
    public Class<?> getCommonPropertyType(ELContext context, Object base) {
        return Object.class;
    }
}
