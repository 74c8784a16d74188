export { IstioOperatorController, istioOperatorKind, type IstioOperatorControllerOptions, type IstioOperatorObject, type IstioOperatorStatus } from "./istio-operator-controller.ts";
