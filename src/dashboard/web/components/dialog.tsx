import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { place } from "../router.ts";
import { Icon } from "./icon.tsx";

/**
 * Whether the dialog that calls this hook is still open. Code that has waited for an answer needs it, because the user
 * may have closed the dialog and opened another.
 */
export function useIsOpen(): { readonly current: boolean } {
  const isOpen = useRef(true);
  useEffect(() => () => void (isOpen.current = false), []);
  return isOpen;
}

/**
 * A modal dialog. The browser keeps the focus in it, and puts it back afterwards. Escape, a click outside, and a change
 * of the view close the dialog.
 */
export function Dialog({
  title,
  onClose,
  foot,
  size,
  children,
}: {
  readonly title: string;
  readonly onClose: () => void;
  readonly foot?: ComponentChildren;
  readonly size?: "wide";
  readonly children: ComponentChildren;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const path = place.value.path.join("/");
  const openedAt = useRef(path);
  const pressedOutside = useRef(false);
  useEffect(() => {
    if (path !== openedAt.current) onClose();
  }, [path]);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    if (element !== null && !element.open) element.showModal();
    // A field with `autofocus` has the focus. Otherwise focus the heading, so that screen readers read it first.
    if (element?.querySelector("[autofocus]") === null) element.querySelector("h2")?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      data-size={size}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        pressedOutside.current = !within(event.currentTarget, event);
      }}
      onClick={(event) => {
        // A click that began inside may be a selection of text that ends outside.
        if (pressedOutside.current && event.target === event.currentTarget && !within(event.currentTarget, event))
          onClose();
      }}
    >
      <div class="dialog-head">
        <h2 id={id} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" class="button" data-kind="quiet" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div class="dialog-body">{children}</div>
      {foot === undefined ? undefined : <div class="dialog-foot">{foot}</div>}
    </dialog>
  );
}

function within(element: HTMLElement, { clientX, clientY }: MouseEvent): boolean {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return clientX >= left && clientX <= right && clientY >= top && clientY <= bottom;
}
