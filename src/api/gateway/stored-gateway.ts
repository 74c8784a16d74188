import { fieldTypes, withFieldTypes } from "../../base/field-types/index.ts";
import type { GatewayClass } from "./gateway-class.ts";
import type { Gateway } from "./gateway.ts";

const { always, list, number, object, text } = fieldTypes;

const condition = {
  type: always(text, ""),
  status: always(text, ""),
  reason: always(text, ""),
  message: always(text, ""),
  lastTransitionTime: text,
  observedGeneration: number,
};

const gateway = {
  spec: always(
    object({
      gatewayClassName: always(text, ""),
      listeners: always(list({ name: always(text, ""), port: always(number, 0), protocol: always(text, "") }), []),
    }),
    { gatewayClassName: "", listeners: [] },
  ),
  status: object({
    conditions: list(condition),
    addresses: list({ type: text, value: always(text, "") }),
  }),
};

/**
 * A stored Gateway whose class, listeners, conditions and addresses are sure to have their declared types. The cluster
 * may have older definitions, which check less. A field of another type counts as absent.
 */
export function storedGateway(stored: Gateway): Gateway {
  return withFieldTypes(stored, gateway).value;
}

/** A stored GatewayClass whose controller name is sure to be a string. It is empty if the stored value is not one. */
export function storedGatewayClass(stored: GatewayClass): GatewayClass {
  return withFieldTypes(stored, {
    spec: always(object({ controllerName: always(text, "") }), { controllerName: "" }),
  }).value;
}
