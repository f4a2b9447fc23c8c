package api

func (a *API) conversationEndpoints() []endpoint {
	return nil
}
