import { useApp } from "../state/app";
import { opposite } from "../state/theme";
import { text } from "../text";
import { Icon } from "./Icon";

export function ThemeButton() {
  const app = useApp();
  const dark = opposite(app.theme.value) === "dark";
  const label = dark ? text.theme.toDark : text.theme.toLight;
  return (
    <button type="button" class="quiet icon-only" aria-label={label} title={label} onClick={() => app.toggleTheme()}>
      <Icon name={dark ? "moon" : "sun"} />
    </button>
  );
}
