export {
  IstioOperatorController,
  type IstioOperatorControllerOptions,
  type IstioOperatorObject,
  type IstioOperatorStatus,
} from "./istio-operator-controller.ts";
