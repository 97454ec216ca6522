import { useSignal } from "@preact/signals";
import { text } from "../text";
import { copyText } from "./clipboard";
import { Icon } from "./Icon";

const COPIED_MS = 1_500;

export function CopyButton({ label, source }: { label: string; source: () => string }) {
  const copied = useSignal(false);

  async function copy(): Promise<void> {
    copied.value = await copyText(source());
    setTimeout(() => (copied.value = false), COPIED_MS);
  }

  return (
    <button
      type="button"
      class="quiet icon-only"
      aria-label={copied.value ? text.chat.copied : label}
      title={label}
      onClick={() => void copy()}
    >
      <Icon name={copied.value ? "check" : "copy"} />
    </button>
  );
}
