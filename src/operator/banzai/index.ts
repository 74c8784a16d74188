export { BanzaiOperator, skippedMessage, type BanzaiOperatorOptions } from "./banzai-operator.ts";
