package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.Type;

/** Values of parquet as JSON, by the rules for lists of the format: a group with a repeated group of elements. */
final class ParquetValues {
    private ParquetValues() {}

    /** Whether a column is a list. */
    static boolean isList(Type type) {
        return !type.isPrimitive()
                && (type.isRepetition(Type.Repetition.REPEATED)
                        || LogicalTypeAnnotation.listType().equals(type.getLogicalTypeAnnotation()));
    }

    /** A group as an object; what is null is left out. */
    static ObjectNode object(Group group, GroupType type) {
        ObjectNode object = Json.newObject();
        for (int field = 0; field < type.getFieldCount(); field++) {
            Type own = type.getType(field);
            if (own.isRepetition(Type.Repetition.REPEATED)) {
                object.set(own.getName(), elements(group, field, own));
            } else if (group.getFieldRepetitionCount(field) > 0) {
                object.set(own.getName(), value(group, field, 0, own));
            }
        }
        return object;
    }

    private static JsonNode value(Group group, int field, int index, Type type) {
        if (!type.isPrimitive()) {
            Group inner = group.getGroup(field, index);
            return isList(type) && !type.isRepetition(Type.Repetition.REPEATED)
                    ? elements(inner, 0, type.asGroupType().getType(0))
                    : object(inner, type.asGroupType());
        }
        return switch (type.asPrimitiveType().getPrimitiveTypeName()) {
            case BINARY -> Json.toNode(group.getString(field, index));
            case BOOLEAN -> Json.toNode(group.getBoolean(field, index));
            case INT32 -> Json.toNode(group.getInteger(field, index));
            case INT64 -> Json.toNode(group.getLong(field, index));
            case FLOAT -> Json.toNode(group.getFloat(field, index));
            case DOUBLE -> Json.toNode(group.getDouble(field, index));
            default -> Json.toNode(group.getValueToString(field, index));
        };
    }

    /** why two forms: the repeated group holds the element as its only field, or (older files) is the element. */
    private static ArrayNode elements(Group list, int field, Type repeated) {
        ArrayNode elements = Json.newObject().putArray("list");
        boolean wrapped = !repeated.isPrimitive()
                && repeated.asGroupType().getFieldCount() == 1
                && (repeated.getName().equals("list") || repeated.getName().equals("bag"));
        for (int i = 0; i < list.getFieldRepetitionCount(field); i++) {
            if (!wrapped) {
                elements.add(value(list, field, i, repeated));
                continue;
            }
            Group element = list.getGroup(field, i);
            boolean none = element.getFieldRepetitionCount(0) == 0;
            elements.add(
                    none ? null : value(element, 0, 0, repeated.asGroupType().getType(0)));
        }
        return elements;
    }
}
